public import Foundation
internal import LabelSuperResolution
internal import Lymphocytes

/// What the comparison of methods needs of a data folder: slides, heatmaps, truth and patch sets under their usual names.
public struct ExperimentData: Sendable {
    public let folder: URL

    public init(_ folder: URL) {
        self.folder = folder
    }

    var slides: URL { folder.appendingPathComponent("slides") }
    var heatmaps: URL { folder.appendingPathComponent("heatmaps") }
    var masks: URL { folder.appendingPathComponent("truth") }

    func slide(_ name: String) -> URL { slides.appendingPathComponent("\(name).svs") }
    func cells(_ name: String) -> URL { masks.appendingPathComponent("\(name).cells.csv") }
    func patches(_ name: String) -> URL { folder.appendingPathComponent("patches/\(name)") }
    func counts(_ fold: ExperimentFold) -> URL { folder.appendingPathComponent(fold.counts) }

    /// - Throws: ``WorkError`` that names the first thing that is missing.
    func check(_ folds: [ExperimentFold]) throws {
        let files =
            [slides, heatmaps, masks]
            + folds.flatMap { fold in
                [counts(fold), cells(fold.test)] + (fold.training + [fold.test]).map(slide)
                    + (fold.hasPatches ? [patches(fold.test), patches(fold.test + "-hard")] : [])
            }
        for file in files where !FileManager.default.fileExists(atPath: file.path) {
            throw WorkError(.input, "\(folder.path) lacks \(file.path): the comparison needs CoNSeP as laid out for it")
        }
    }
}

/// Slides to train on and the one to score.
public struct ExperimentFold: Sendable, Equatable {
    public let name: String
    public let training: [String]
    public let test: String
    /// Counts of lymphocytes in regions of the training slides.
    public let counts: String
    /// Whether the test slide has patch sets.
    public let hasPatches: Bool

    /// The two folds of the comparison.
    public static let comparison = [
        ExperimentFold(
            name: "c", training: ["consep-a", "consep-b"], test: "consep-c", counts: "counts.csv", hasPatches: true),
        ExperimentFold(
            name: "b", training: ["consep-a", "consep-c"], test: "consep-b", counts: "counts-ac.csv", hasPatches: true),
    ]
    /// The fold on which settings are chosen: its test slide is none of the comparison's.
    public static let development = ExperimentFold(
        name: "a", training: ["consep-b", "consep-c"], test: "consep-a", counts: "counts-bc.csv", hasPatches: false)
}

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

    private func changing(_ reference: String) -> ExperimentMethod {
        var method = self
        method.reference = reference
        return method
    }

    private static func network(
        _ name: String, _ title: String, seeds: Int = 1, priors: PriorSource = .counts, folds: Set<String>? = nil,
        change: @escaping @Sendable (inout LymphocyteSettings) throws -> Void
    ) -> ExperimentMethod {
        ExperimentMethod(
            name: name, title: title, seeds: seeds, kind: .network(change: change, priors: priors), folds: folds)
    }

    private static func criterion(_ name: String, _ title: String, seeds: Int = 1) -> ExperimentMethod {
        network(name, title, seeds: seeds) { settings in
            settings.training.objective = try Objective(named: name, matching: settings.training.matching)
        }
    }

    /// Methods that train the same network for as many steps, and those that are no such network.
    public static let comparison: [ExperimentMethod] = [
        criterion("sr", "SR, statistics matching", seeds: 3),
        criterion("hr", "HR, pixel labels", seeds: 3),
        criterion("soft", "soft naive", seeds: 3),
        ExperimentMethod(name: "hr-svm", title: "HR SVM, 4-fold", seeds: 1, kind: .rival(.supportVectorMachine)),
        ExperimentMethod(name: "hr-cnn", title: "HR CNN, 4-fold", seeds: 1, kind: .rival(.network)),
        ExperimentMethod(name: "hr-semi", title: "HR semi-supervised, 4-fold", seeds: 1, kind: .rival(.pretrained)),
        criterion("hard", "hard naive"),
        criterion("l2", "L2"), criterion("interval", "interval"), criterion("l1", "L1"), criterion("kl", "KL"),
        criterion("em", "EM"), criterion("qr", "implicit posterior QR"), criterion("rq", "implicit posterior RQ"),
        ExperimentMethod(name: "mixture", title: "self-similarity posterior", seeds: 1, kind: .mixture),
        ExperimentMethod(name: "sr+mixture", title: "SR × self-similarity", seeds: 1, kind: .blend),
        network("hr+sr", "HR (10 % of regions) + SR") { settings in
            settings.training.objective = try Objective(named: "hr+sr", matching: settings.training.matching)
            settings.sampling.fineFraction = 0.1
        },
        ExperimentMethod(
            name: "sr-self", title: "SR, self-trained (`fast`)", seeds: 3, kind: .student(of: "sr", teachers: 3)),
        ExperimentMethod(
            name: "sr-self-plain", title: "SR, self-trained without roundness", seeds: 3,
            kind: .student(of: "sr", teachers: 3) { $0.training.student?.evidenceWeight = 0 }),
        ExperimentMethod(
            name: "sr-self-both", title: "SR, self-trained with roundness on spoilt images", seeds: 3,
            kind: .student(of: "sr", teachers: 3) { $0.sampling.studentNoise = .otherScanner }),
        network("sr-paper", "SR, σ² of single pixels (paper)") {
            $0.training.matching = StatisticsMatching(epsilon: 0.03, logWeight: 0.3)
        },
        ExperimentMethod(name: "sr-pair", title: "SR, two networks averaged", seeds: 3, kind: .pair(of: "sr")),
        ExperimentMethod(name: "hr-pair", title: "HR, two networks averaged", seeds: 3, kind: .pair(of: "hr")),
        network("sr-true-priors", "SR, true priors", seeds: 3, priors: .masks) { _ in },
    ]

    static func named(_ name: String) -> ExperimentMethod? {
        (comparison + ablations).first { $0.name == name }
    }

    /// How much SR suffers where η is misjudged.
    public static let robustness: [ExperimentMethod] = [
        network("sr-half", "SR, η × 0.5", priors: .scaled(0.5), folds: ["c"]) { _ in },
        network("sr-double", "SR, η × 2", priors: .scaled(2), folds: ["c"]) { _ in },
        network("sr-shift", "SR, η of the class above", priors: .shifted(1), folds: ["c"]) { _ in },
    ]

    /// `fast` as it was when most of the ablations were run: σ² of single pixels in the denominator.
    private static let earlierMatching = StatisticsMatching(epsilon: 0.03, logWeight: 0.3)

    /// A change of `fast` as it was.
    private static func change(
        _ name: String, _ title: String, seeds: Int = 1,
        change: @escaping @Sendable (inout LymphocyteSettings) -> Void
    ) -> ExperimentMethod {
        network(name, title, seeds: seeds) {
            $0.training.matching = earlierMatching
            change(&$0)
        }.changing("base")
    }

    /// A student as it was: of such networks, without noise and evidence.
    private static func earlierStudent(
        _ name: String, _ title: String, seeds: Int = 1, of method: String, teachers: Int, reference: String = "base"
    ) -> ExperimentMethod {
        ExperimentMethod(
            name: name, title: title, seeds: seeds,
            kind: .student(of: method, teachers: teachers) {
                $0.training.matching = earlierMatching
                $0.training.student?.evidenceWeight = 0
            }
        ).changing(reference)
    }

    /// A student of networks as `fast` trains them now, with a change.
    private static func student(
        _ name: String, _ title: String, seeds: Int = 2, of method: String = "cluster-150",
        reference: String = "self-plain", change: @escaping @Sendable (inout LymphocyteSettings) -> Void
    ) -> ExperimentMethod {
        ExperimentMethod(
            name: name, title: title, seeds: seeds, kind: .student(of: method, teachers: 3, change: change)
        ).changing(reference)
    }

    /// A change of the networks that `fast` trains now, before self-training.
    private static func changeOfNow(
        _ name: String, _ title: String, seeds: Int = 2,
        change: @escaping @Sendable (inout LymphocyteSettings) -> Void
    ) -> ExperimentMethod {
        network(name, "σ² × 150, " + title, seeds: seeds, change: change).changing("cluster-150")
    }

    private static func variant(_ variant: InferenceVariant, _ title: String) -> ExperimentMethod {
        ExperimentMethod(
            name: "use-\(variant)", title: "`fast` now, " + title, seeds: 2, kind: .variant(variant, of: "self-round")
        ).changing("self-round")
    }

    /// Changes of the `fast` preset, one at a time.
    ///
    /// They begin at the preset before the last of them was taken over, so that what was found on the way stays comparable.
    public static let ablations: [ExperimentMethod] = [
        change("base", "`fast` as it was: σ² of single pixels, no self-training", seeds: 3) { _ in },
        change("no-prior", "no darkness prior") { $0.training.architecture.prior = nil },
        change("one-level", "one level of 5 convolutions of 16: sees 13 µm") {
            $0.training.architecture.widths = [16]
            $0.training.architecture.convolutionsPerLevel = 5
        },
        change("one-level-24", "one level of 4 convolutions of 24: sees 11 µm") {
            $0.training.architecture.widths = [24]
            $0.training.architecture.convolutionsPerLevel = 4
        },
        change("prior-8", "darkness prior × 1.6") { $0.training.architecture.prior?.weight *= 1.6 },
        change("kappa-25", "κ = 2.5") { $0.sampling.colorDarkestMultiple = 2.5 },
        change("flat-colour", "colour labels: 20 % everywhere (paper)") { $0.sampling.colorDarkestMultiple = 0 },
        change("neither", "neither of the two") {
            $0.training.architecture.prior = nil
            $0.sampling.colorDarkestMultiple = 0
        },
        change("balanced", "classes drawn equally often") { $0.sampling.frequencyExponent = 0 },
        change("jitter-15", "stains ± 0.15") { $0.sampling.stainJitter = 0.15 },
        change("jitter-0", "stains as they are") { $0.sampling.stainJitter = 0 },
        change("no-turns", "neither turned nor flipped") { $0.sampling.isTurned = false },
        change("log-1", "log term × 1") {
            $0.training.matching = StatisticsMatching(epsilon: 0.03, logWeight: 1)
        },
        change("log-0", "no log term") {
            $0.training.matching = StatisticsMatching(epsilon: 0.03, logWeight: 0)
        },
        change("epsilon-003", "ε = 0.003") {
            $0.training.matching = StatisticsMatching(epsilon: 0.003, logWeight: 0.3)
        },
        change("ramp", "log term ramped in over 300 steps") { $0.training.logarithmRamp = 300 },
        change("cluster-150", "σ² × 150 in the denominator (`fast` now, without self-training)", seeds: 3) {
            $0.training.matching = StatisticsMatching(epsilon: 0.03, logWeight: 0.3, clusterPixels: 150)
        },
        change("cluster-500", "σ² × 500 in the denominator") {
            $0.training.matching = StatisticsMatching(epsilon: 0.03, logWeight: 0.3, clusterPixels: 500)
        },
        changeOfNow("offset", "regions up to half a region off the heatmap's grid") { $0.sampling.gridOffset = 0.5 },
        changeOfNow("epsilon-01", "ε = 0.01", seeds: 3) {
            $0.training.matching = StatisticsMatching(epsilon: 0.01, logWeight: 0.3, clusterPixels: 150)
        },
        changeOfNow("variance", "the counts' variance between regions matched to ρ²") {
            $0.training.matching = StatisticsMatching(
                epsilon: 0.03, logWeight: 0.3, clusterPixels: 150, varianceWeight: 0.3)
        },
        change("last-weights", "last weights instead of averaged") { $0.training.averaging = nil },
        change("stride-1", "full resolution (16, 16, 32)") {
            $0.training.architecture.stride = 1
            $0.training.architecture.widths = [16, 16, 32]
        },
        change("three-levels", "three levels (16, 16, 32), stride 2") {
            $0.training.architecture.widths = [16, 16, 32]
        },
        change("two-members", "two networks, averaged") { $0.training.members = 2 },
        earlierStudent("self", "self-training on two networks", seeds: 2, of: "base", teachers: 2),
        earlierStudent("self-three", "self-training on three networks", of: "base", teachers: 3, reference: "self"),
        earlierStudent(
            "self-again", "self-training on two self-trained networks", of: "self", teachers: 2, reference: "self"),
        student("self-plain", "self-training on three networks with σ² × 150", reference: "cluster-150") {
            $0.training.student?.evidenceWeight = 0
        },
        student("self-noise", "the same, the student sees spoilt images") {
            $0.sampling.studentNoise = .otherScanner
            $0.training.student?.evidenceWeight = 0
        },
        student("self-round", "the same, teachers weighed with roundness instead (`fast` now)") { _ in },
        student("self-both", "both", seeds: 3) { $0.sampling.studentNoise = .otherScanner },
        student(
            "self-twice", "spoilt images, self-training on three such students", seeds: 1, of: "self-both",
            reference: "self-both"
        ) {
            $0.sampling.studentNoise = .otherScanner
            $0.training.student?.evidenceWeight = 0
        },
        variant(.turns, "eight turns and flips averaged"),
        variant(.disc, "probabilities averaged over a disc of 2 µm before the threshold"),
        variant(.stains, "the slide's stains scaled to the training slides'"),
    ]
}

extension TrainingConfiguration {
    /// The settings of statistics matching; setting them makes that the criterion.
    fileprivate var matching: StatisticsMatching {
        get { objective.criterion?.matching ?? StatisticsMatching() }
        set { objective.criterion = .statisticsMatching(newValue) }
    }
}
