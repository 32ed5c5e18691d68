internal import LabelSuperResolution
internal import Lymphocytes

/// A row of a table: what is trained, and how often.
public struct ExperimentMethod: Sendable {
    /// How a method comes by its scores.
    enum Kind: Sendable {
        case network(change: @Sendable (inout LymphocyteSettings) throws -> Void, priors: PriorSource)
        case mixture
        /// The network of the method `sr` with the same seed, times the mixture's posterior.
        case blend
        case rival(PatchRival)
        /// Two networks of another method, of this seed and the next (the first after the last), averaged.
        case pair(of: String)
        /// One network more that learns from so many networks of another method, of this seed and those after: what `fast` does.
        case student(
            of: String, teachers: Int, change: @Sendable (inout LymphocyteSettings) -> Void = { _ in })
        /// The network of another method with the same seed, used otherwise.
        case variant(InferenceVariant, of: String)
    }

    /// Where the priors of a network come from.
    enum PriorSource: Sendable {
        case counts
        /// True means and deviations of the training slides' regions.
        case masks
        case scaled(Double)
        case shifted(Int)
    }

    public let name: String
    public let title: String
    public let seeds: Int
    let kind: Kind
    /// What a job's identity says of the kind.
    var kindName: String {
        switch kind {
        case .network: "network"
        case .mixture: "mixture"
        case .blend: "blend"
        case .rival(let rival): rival.rawValue
        case .pair(let method): "pair of \(method)"
        case .student(let method, let teachers, _): "student of \(teachers) \(method)"
        case .variant(let variant, let method): "\(variant) of \(method)"
        }
    }

    /// Whether it trains anything; if not, the time it takes says nothing.
    var isTrained: Bool {
        switch kind {
        case .network, .mixture, .blend, .rival, .student: true
        case .pair, .variant: false
        }
    }

    /// Names of the folds on which it is run; nil for all.
    var folds: Set<String>?
    /// The method of which this one changes one thing: tables give the difference between the two, seed by seed.
    var reference: String?

    func changing(_ reference: String) -> ExperimentMethod {
        var method = self
        method.reference = reference
        return method
    }

    static func network(
        _ name: String, _ title: String, seeds: Int = 1, priors: PriorSource = .counts, folds: Set<String>? = nil,
        change: @escaping @Sendable (inout LymphocyteSettings) throws -> Void
    ) -> ExperimentMethod {
        ExperimentMethod(
            name: name, title: title, seeds: seeds, kind: .network(change: change, priors: priors), folds: folds)
    }

    static func criterion(_ name: String, _ title: String, seeds: Int = 1) -> ExperimentMethod {
        network(name, title, seeds: seeds) { settings in
            settings.training.objective = try Objective(named: name, matching: settings.training.matching)
        }
    }
}

extension TrainingConfiguration {
    /// The settings of statistics matching; setting them makes that the criterion.
    var matching: StatisticsMatching {
        get { objective.criterion?.matching ?? StatisticsMatching() }
        set { objective.criterion = .statisticsMatching(newValue) }
    }
}
