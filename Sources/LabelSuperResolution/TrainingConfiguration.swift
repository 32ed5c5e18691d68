public import Torch

/// How a source of blocks spoils images for a student, while its teachers see them as they are (noisy student, Xie et al. 2020):
/// it must find the same in a picture that was taken otherwise.
public struct ImageNoise: Codable, Equatable, Sendable {
    /// Takes the place of ``TrainingConfiguration/stainJitter``, 0 … 1.
    public var stainJitter: Double
    /// Half of the images are smoothed by a Gaussian whose standard deviation is drawn from 0 … this, in pixels.
    public var blur: Double
    /// Values of 0 … 1 are raised to a power drawn from 1 ± this; below 1.
    public var gamma: Double
    /// Gaussian noise is added whose standard deviation is drawn from 0 … this, in levels of 255.
    public var deviation: Double

    public init(stainJitter: Double, blur: Double, gamma: Double, deviation: Double) {
        precondition(gamma < 1, "a power must stay above 0")
        self.stainJitter = stainJitter
        self.blur = blur
        self.gamma = gamma
        self.deviation = deviation
    }
}

/// Everything that decides what a training run computes, besides its data.
public struct TrainingConfiguration: Codable, Equatable, Sendable {
    /// How the learning rate falls. Both depend on the step alone, not on where the run will stop, so that 100 steps and
    /// 100 more are 200 steps.
    public enum Schedule: Codable, Equatable, Sendable {
        /// Linear warm-up, then half a cosine down to a twentieth at `length`, constant from there.
        case cosine(warmup: Int, length: Int)
        /// Divided by 10 after each `every` steps (paper Appendix A: 6000).
        case steps(every: Int)
    }

    public var architecture: UNetArchitecture
    public var optimizer: OptimizerRule
    public var learningRate: Double
    public var schedule: Schedule
    public var batchSize: Int
    /// Steps of each member where the command line gives none.
    public var steps: Int
    /// Networks trained one after another from different seeds; their probabilities are averaged. What coarse
    /// labels leave open, each fills in differently, and the average is better than any of them.
    public var members: Int
    /// Whether one more network is trained on what the members find (``Criterion/selfTraining(_:)``) and kept in their place.
    public var selfTraining: Bool = false
    /// The largest Euclidean norm of a gradient; nil for no limit.
    public var gradientNorm: Double?
    /// The decay a step of the running average of the weights, which is what the model keeps; nil keeps the last weights.
    public var averaging: Double?
    public var criterion: Criterion
    /// λ_sr: the weight of the criterion's coarse part.
    public var coarseWeight: Double
    /// λ_hr: the weight of the cross-entropy with fine labels; λ_self in self-training, where 0 means the default of 30.
    public var fineWeight: Double
    /// The share of regions whose fine labels are used.
    public var fineFraction: Double = 1
    /// Steps over which the logarithm of statistics matching rises to its weight, so that wrong labels are not frozen early.
    public var logarithmRamp: Int = 0
    /// The weight of the cross-entropy on pixels that are labelled by colour.
    public var pixelWeight: Double
    /// The share of each image's pixels that colour labels as background.
    public var colorLabelFraction: Double
    /// κ: in a block of a known class, colour labels all pixels but the darkest κ · η; 0 labels the same share everywhere.
    public var colorDarkestMultiple: Double
    /// Coarse classes are drawn in proportion to their frequency to this power: 0 draws each equally often (paper
    /// Appendix A), 1 as they come. In between, the many regions without lymphocytes show enough of their variety.
    public var frequencyExponent: Double
    /// Stain augmentation: factors of haematoxylin and eosin are drawn from 1 ± this, offsets from ± a sixth of it.
    public var stainJitter: Double
    public var seed: UInt64
    /// What images suffer that the teachers' do not; nil for none.
    public var noise: ImageNoise?
    /// The weight of what the images' shapes tell beside the teachers: log-odds per unit of ``BlockBatch/evidence``; nil for 0.
    public var evidenceWeight: Double?
    /// Blocks lie off their coarse labels' grid by up to this share of a region, as where patches are drawn without regard to it,
    /// and may then reach into held-out regions; nil for 0. Only to be measured.
    public var gridOffset: Double?
    /// Whether images are laid down in one of eight orientations; nil for true. Only to be measured.
    public var turns: Bool?

    /// Takes another criterion, with that criterion's own weights unless others are given.
    public mutating func use(_ criterion: Criterion, coarseWeight: Double? = nil, fineWeight: Double? = nil) {
        self.criterion = criterion
        if case .statisticsMatching = criterion {} else { selfTraining = false }
        self.coarseWeight = coarseWeight ?? criterion.defaultCoarseWeight
        self.fineWeight = fineWeight ?? criterion.defaultFineWeight
    }

    /// The settings of the network that learns from the members. Its seed is none of theirs.
    public var student: TrainingConfiguration {
        var settings = self
        settings.use(
            .selfTraining(criterion.matching ?? StatisticsMatching()), coarseWeight: coarseWeight,
            fineWeight: fineWeight > 0 ? fineWeight : nil)
        settings.seed = seed &+ 1000
        return settings
    }

    /// The settings of a model that keeps a student of networks with these settings: theirs, with what was the student's alone.
    public func keeping(_ student: TrainingConfiguration) -> TrainingConfiguration {
        var settings = self
        if case .statisticsMatching = criterion, let matching = student.criterion.matching {
            settings.criterion = .statisticsMatching(matching)
        }
        settings.noise = student.noise
        settings.evidenceWeight = student.evidenceWeight
        return settings
    }

    /// The first step of each round of expectation maximisation: the network as it is then relabels for the next one. The
    /// start takes half of the schedule, two rounds the rest; like the schedule this depends on the step alone.
    func beginsRound(_ step: Int) -> Bool {
        guard case .expectationMaximization = criterion else { return false }
        let length =
            switch schedule {
            case .cosine(_, let length): length
            case .steps(let every): 2 * every
            }
        let (start, round) = (length / 2, max(1, length / 4))
        return step > start && (step - start - 1) % round == 0
    }

    /// The first step after the start of expectation maximisation, or nil for other criteria.
    func hasTeacher(at step: Int) -> Bool { (1...max(1, step)).contains { beginsRound($0) } }

    /// The factor on the learning rate at a step, counted from 1.
    func rate(step: Int) -> Double {
        switch schedule {
        case .cosine(let warmup, let length):
            let rise = min(1, Double(step) / Double(max(1, warmup)))
            let progress = min(1, Double(step) / Double(max(1, length)))
            return learningRate * rise * max(0.05, 0.5 * (1 + (Double.pi * progress).cosine))
        case .steps(let every):
            var rate = learningRate
            for _ in 0..<((step - 1) / max(1, every)) { rate /= 10 }
            return rate
        }
    }
}

/// Named settings.
public enum TrainingPreset: String, CaseIterable, Sendable {
    /// For two CPU cores: a small net, minutes.
    case fast
    /// The paper's Appendix A to the letter; meant for a GPU.
    case paper

    public func configuration(inputChannels: Int, labels: Int, seed: UInt64) -> TrainingConfiguration {
        switch self {
        case .fast:
            TrainingConfiguration(
                architecture: UNetArchitecture(
                    inputChannels: inputChannels, labels: labels, widths: [16, 32], convolutionsPerLevel: 2,
                    batchNormMomentum: 0.1, stride: 2),
                optimizer: .adam, learningRate: 2e-3, schedule: .cosine(warmup: 50, length: 600), batchSize: 6,
                steps: 600, members: 3, selfTraining: true, gradientNorm: 1, averaging: 0.99,
                criterion: .statisticsMatching(
                    StatisticsMatching(epsilon: 0.03, logWeight: 0.3, clusterPixels: 150)),
                coarseWeight: 1, fineWeight: 0, pixelWeight: 1,
                colorLabelFraction: 0.2, colorDarkestMultiple: 1.5, frequencyExponent: 0.5, stainJitter: 0.3, seed: seed
            )
        case .paper:
            TrainingConfiguration(
                architecture: UNetArchitecture(
                    inputChannels: inputChannels, labels: labels, widths: [32, 32, 64, 64, 64],
                    convolutionsPerLevel: 3, batchNormMomentum: 0.1),
                optimizer: .rmsprop, learningRate: 1e-3, schedule: .steps(every: 6000), batchSize: 20, steps: 14_000,
                members: 1,
                gradientNorm: nil, averaging: nil,
                criterion: .statisticsMatching(StatisticsMatching(epsilon: 0.03, logWeight: 1)), coarseWeight: 1,
                fineWeight: 0, pixelWeight: 1, colorLabelFraction: 0.2, colorDarkestMultiple: 0, frequencyExponent: 0,
                stainJitter: 0, seed: seed)
        }
    }
}
