public import Failures

/// Where labels of single pixels come from, beside the coarse labels of blocks.
public enum Teaching: Codable, Equatable, Sendable {
    case none
    /// The cross-entropy with ``BlockBatch/fineLabels``, times λ_hr.
    case fineLabels(weight: Double)
    /// The cross-entropy with what networks that are trained already find, scaled to what each block holds, times λ_self:
    /// what they found is learnt anew, without the textures by which each found it (docs/method.md §2).
    ///
    /// `evidenceWeight`: the networks' log-odds of the last label are raised by this for each unit of ``BlockBatch/evidence``.
    ///
    /// `unknownWeight`: what a pixel of a block without a label weighs beside one of a block with; what the networks find there is
    /// taken as it is. nil for 0.
    case networks(weight: Double, evidenceWeight: Double, unknownWeight: Double?)

    /// λ_hr and λ_self beside statistics matching; the released code's.
    public static let defaultWeight = 30.0

    /// λ_hr or λ_self; 0 where nothing teaches.
    public var weight: Double {
        switch self {
        case .none: 0
        case .fineLabels(let weight), .networks(let weight, _, _): weight
        }
    }
}

/// What a network is trained for: what its counts are made to agree with, and what teaches single pixels.
public struct Objective: Codable, Equatable, Sendable {
    /// nil where coarse labels do not enter, nor hints: full supervision.
    public var criterion: Criterion?
    /// λ_sr: the weight of the criterion's loss.
    public var coarseWeight: Double
    public var teaching: Teaching

    /// - Parameter coarseWeight: the criterion's own where none is given.
    public init(_ criterion: Criterion, coarseWeight: Double? = nil, teaching: Teaching = .none) {
        self.init(
            criterion: criterion, coarseWeight: coarseWeight ?? criterion.defaultWeight, teaching: teaching)
    }

    init(criterion: Criterion?, coarseWeight: Double, teaching: Teaching) {
        self.criterion = criterion
        self.coarseWeight = coarseWeight
        self.teaching = teaching
    }

    /// Names of the command line: those of the criteria, `hr` for fine labels alone (full supervision), and `hr+sr` for fine
    /// labels beside statistics matching (paper §3.1).
    public static let names = Criterion.names + ["hr", "hr+sr"]

    /// An objective by name.
    ///
    /// - Parameters:
    ///   - matching: the settings of statistics matching, where that is a part of it.
    ///   - radius: of the interval criterion; ρ where none is given.
    ///   - coarseWeight: λ_sr; the criterion's own where none is given.
    ///   - fineWeight: λ_hr; its default where none is given.
    /// - Throws: ``MethodError`` where there is none of that name.
    public init(
        named name: String, matching: StatisticsMatching, radius: Double? = nil, coarseWeight: Double? = nil,
        fineWeight: Double? = nil
    ) throws(MethodError) {
        switch name {
        case "hr":
            self.init(criterion: nil, coarseWeight: 0, teaching: .fineLabels(weight: fineWeight ?? 1))
        case "hr+sr":
            self.init(
                .statisticsMatching(matching), coarseWeight: coarseWeight,
                teaching: .fineLabels(weight: fineWeight ?? Teaching.defaultWeight))
        default:
            guard let criterion = Criterion(named: name, matching: matching, radius: radius) else {
                throw MethodError(
                    .training,
                    "there is no criterion '\(name)'; choose one of \(Objective.names.joined(separator: ", "))")
            }
            self.init(criterion, coarseWeight: coarseWeight)
        }
    }

    /// The name on the command line; `self` where networks teach.
    public var name: String {
        switch teaching {
        case .none: criterion?.name ?? "none"
        case .fineLabels: criterion == nil ? "hr" : "hr+sr"
        case .networks: "self"
        }
    }

    /// Whether fine masks must be given.
    public var needsFineLabels: Bool {
        if case .fineLabels = teaching { true } else { false }
    }
}
