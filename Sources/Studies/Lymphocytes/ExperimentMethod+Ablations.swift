internal import LabelSuperResolution
internal import Lymphocytes

extension ExperimentMethod {
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
