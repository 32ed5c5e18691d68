internal import Foundation
public import Torch

/// Everything that decides what the training of a model computes, besides its data and how an application draws from it.
public struct TrainingConfiguration: Codable, Equatable, Sendable {
    /// How the learning rate falls. Both depend on the step alone, not on where the run will stop, so that 100 steps and
    /// 100 more are 200 steps.
    public enum Schedule: Codable, Equatable, Sendable {
        /// Linear warm-up, then half a cosine down to a twentieth at `length`, constant from there.
        case cosine(warmup: Int, length: Int)
        /// Divided by 10 after each `every` steps (paper Appendix A: 6000).
        case steps(every: Int)
    }

    /// One more network, which learns from the members and is kept in their place.
    public struct Student: Codable, Equatable, Sendable {
        /// λ_self: the weight of the cross-entropy with what the members find.
        public var weight: Double
        /// What other evidence tells beside the members (``Teaching/networks(weight:evidenceWeight:unknownWeight:)``).
        public var evidenceWeight: Double
        /// What the members find in blocks without a label weighs this beside the rest; nil for 0.
        public var unknownWeight: Double?

        public init(
            weight: Double = Teaching.defaultWeight, evidenceWeight: Double = 0, unknownWeight: Double? = nil
        ) {
            self.weight = weight
            self.evidenceWeight = evidenceWeight
            self.unknownWeight = unknownWeight
        }
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
    /// nil keeps the members.
    public var student: Student?
    /// The largest Euclidean norm of a gradient; nil for no limit.
    public var gradientNorm: Double?
    /// The decay a step of the running average of the weights, which is what the model keeps; nil keeps the last weights.
    public var averaging: Double?
    /// Of the members.
    public var objective: Objective
    /// Steps over which the logarithm of statistics matching rises to its weight, so that wrong labels are not frozen early.
    public var logarithmRamp: Int = 0
    /// The weight of the cross-entropy with ``BlockBatch/hints``.
    public var hintWeight: Double
    public var seed: UInt64

    /// The settings with which the student is trained; nil where there is none. Its seed is none of the members'.
    public var studentConfiguration: TrainingConfiguration? {
        guard let student else { return nil }
        var settings = self
        settings.student = nil
        settings.members = 1
        settings.objective = Objective(
            criterion: .statisticsMatching(objective.criterion?.matching ?? StatisticsMatching()),
            coarseWeight: objective.coarseWeight,
            teaching: .networks(
                weight: student.weight, evidenceWeight: student.evidenceWeight, unknownWeight: student.unknownWeight))
        settings.seed = seed &+ 1000
        return settings
    }

    /// The first step of each round of expectation maximisation: the network as it is then relabels for the next one. The
    /// start takes half of the schedule, two rounds the rest; like the schedule this depends on the step alone.
    func beginsRound(_ step: Int) -> Bool {
        rounds.map { step > $0.start && (step - $0.start - 1) % $0.length == 0 } ?? false
    }

    /// Steps before the first round, and of a round; nil for other criteria.
    private var rounds: (start: Int, length: Int)? {
        guard case .expectationMaximization = objective.criterion else { return nil }
        let length =
            switch schedule {
            case .cosine(_, let length): length
            case .steps(let every): 2 * every
            }
        return (length / 2, max(1, length / 4))
    }

    /// The step with which expectation maximisation begins its first round; before it is statistics matching alone. nil for other
    /// criteria.
    public var firstRound: Int? {
        rounds.map { $0.start + 1 }
    }

    /// Whether a round of expectation maximisation has begun by a step.
    func hasRound(at step: Int) -> Bool { (1...max(1, step)).contains { beginsRound($0) } }

    /// The factor on the learning rate at a step, counted from 1.
    func rate(step: Int) -> Double {
        switch schedule {
        case .cosine(let warmup, let length):
            let rise = min(1, Double(step) / Double(max(1, warmup)))
            let progress = min(1, Double(step) / Double(max(1, length)))
            return learningRate * rise * max(0.05, 0.5 * (1 + cos(Double.pi * progress)))
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
                steps: 600, members: 3, student: TrainingConfiguration.Student(), gradientNorm: 1, averaging: 0.99,
                objective: Objective(
                    .statisticsMatching(StatisticsMatching(epsilon: 0.03, logWeight: 0.3, clusterPixels: 150))),
                hintWeight: 1, seed: seed)
        case .paper:
            TrainingConfiguration(
                architecture: UNetArchitecture(
                    inputChannels: inputChannels, labels: labels, widths: [32, 32, 64, 64, 64],
                    convolutionsPerLevel: 3, batchNormMomentum: 0.1),
                optimizer: .rmsprop, learningRate: 1e-3, schedule: .steps(every: 6000), batchSize: 20, steps: 14_000,
                members: 1, student: nil, gradientNorm: nil, averaging: nil,
                objective: Objective(.statisticsMatching(StatisticsMatching(epsilon: 0.03, logWeight: 1))),
                hintWeight: 1, seed: seed)
        }
    }
}
