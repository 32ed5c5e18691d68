public import Torch

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
    /// Networks trained one after another from different seeds; their log-odds are averaged. What coarse labels leave
    /// open, each fills in differently, and the average is better than any of them (METHOD §4.5).
    public var members: Int
    /// The largest Euclidean norm of a gradient; nil for no limit.
    public var gradientNorm: Double?
    /// The decay a step of the running average of the weights, which is what the model keeps; nil keeps the last weights.
    public var averaging: Double?
    public var criterion: StatisticsMatching
    /// The weight of the cross-entropy on pixels that are labelled by colour (or by masks).
    public var pixelWeight: Double
    /// The share of each image's pixels that colour labels as background.
    public var colorLabelFraction: Double
    /// Coarse classes are drawn in proportion to their frequency to this power: 0 draws each equally often (paper
    /// Appendix A), 1 as they come. In between, the many regions without lymphocytes show enough of their variety.
    public var frequencyExponent: Double
    /// Stain augmentation: factors of haematoxylin and eosin are drawn from 1 ± this, offsets from ± a sixth of it.
    public var stainJitter: Double
    public var seed: UInt64

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
                    inputChannels: inputChannels, labels: labels, widths: [16, 16, 32], convolutionsPerLevel: 2,
                    batchNormMomentum: 0.1),
                optimizer: .adam, learningRate: 2e-3, schedule: .cosine(warmup: 50, length: 1000), batchSize: 6,
                steps: 1000, members: 2, gradientNorm: 1, averaging: 0.99,
                criterion: StatisticsMatching(epsilon: 0.03, logWeight: 0.3), pixelWeight: 1,
                colorLabelFraction: 0.2, frequencyExponent: 0.5, stainJitter: 0.3, seed: seed)
        case .paper:
            TrainingConfiguration(
                architecture: UNetArchitecture(
                    inputChannels: inputChannels, labels: labels, widths: [32, 32, 64, 64, 64],
                    convolutionsPerLevel: 3, batchNormMomentum: 0.1),
                optimizer: .rmsprop, learningRate: 1e-3, schedule: .steps(every: 6000), batchSize: 20, steps: 14_000,
                members: 1,
                gradientNorm: nil, averaging: nil, criterion: StatisticsMatching(epsilon: 0.03, logWeight: 1),
                pixelWeight: 1, colorLabelFraction: 0.2, frequencyExponent: 0, stainJitter: 0, seed: seed)
        }
    }
}
