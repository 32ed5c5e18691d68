internal import LabelSuperResolution
internal import Lymphocytes

extension ExperimentMethod {
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
}
