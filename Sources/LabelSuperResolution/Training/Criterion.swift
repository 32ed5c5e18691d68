internal import Failures
internal import Foundation
public import Torch

/// What a network's output is made to agree with: the paper's loss, its variants and its rivals (docs/method.md §1).
///
/// Every case is a loss of one batch of blocks. What teaches single pixels beside it is ``Teaching``.
public enum Criterion: Codable, Equatable, Sendable {
    /// Statistics matching, the paper's loss (eq. 7).
    case statisticsMatching(StatisticsMatching)
    /// KL(net ‖ coarse) between the two normal distributions of the label count (paper §2.2):
    /// log(ρ/σ) + (σ² + (μ − η)²)/(2ρ²) − ½, with log σ² = log(v + ε) − log N.
    case divergence(epsilon: Double)
    /// Σ (μ − η)² (paper Appendix C).
    case squaredError
    /// Σ |μ − η| (paper Appendix C).
    case absoluteError
    /// Σ relu(|μ − η| − r)², with r = ρ where none is given (paper Appendices C, F).
    case interval(radius: Double?)
    /// Each pixel's cross-entropy with its block's η (paper §3: "soft naive").
    case softNaive
    /// Each pixel's cross-entropy with its block's likeliest label (paper §3: "hard naive").
    case hardNaive
    /// Expectation maximisation: after a start with statistics matching, rounds of relabelling each pixel by the network's
    /// own posterior, scaled so that the block holds what its class leads to expect, and of fitting these labels (paper §3).
    case expectationMaximization(StatisticsMatching)
    /// Implicit posterior, QR: Σ q̄ log q̄ − mean Σ q log p, p = blurred η (Rolf et al. 2022).
    case implicitPosteriorQR(blur: Double)
    /// Implicit posterior, RQ: mean KL(r ‖ q), r ∝ p q / q̄ (Rolf et al. 2022).
    case implicitPosteriorRQ(blur: Double)

    public static let names = ["sr", "kl", "l2", "l1", "interval", "soft", "hard", "em", "qr", "rq"]

    /// The blur of the implicit posteriors' prior: half a region at 0.5 µm, so that a region's border is no edge.
    public static let defaultBlur = 25.0

    /// A criterion by name, with the settings of statistics matching where it has them; nil where there is none of that name.
    public init?(named name: String, matching: StatisticsMatching, radius: Double? = nil) {
        switch name {
        case "sr": self = .statisticsMatching(matching)
        case "kl": self = .divergence(epsilon: matching.epsilon)
        case "l2": self = .squaredError
        case "l1": self = .absoluteError
        case "interval": self = .interval(radius: radius)
        case "soft": self = .softNaive
        case "hard": self = .hardNaive
        case "em": self = .expectationMaximization(matching)
        case "qr": self = .implicitPosteriorQR(blur: Criterion.defaultBlur)
        case "rq": self = .implicitPosteriorRQ(blur: Criterion.defaultBlur)
        default: return nil
        }
    }

    public var name: String {
        switch self {
        case .statisticsMatching: "sr"
        case .divergence: "kl"
        case .squaredError: "l2"
        case .absoluteError: "l1"
        case .interval: "interval"
        case .softNaive: "soft"
        case .hardNaive: "hard"
        case .expectationMaximization: "em"
        case .implicitPosteriorQR: "qr"
        case .implicitPosteriorRQ: "rq"
        }
    }

    /// The settings of statistics matching, where it is part of the criterion.
    public var matching: StatisticsMatching? {
        switch self {
        case .statisticsMatching(let matching), .expectationMaximization(let matching): matching
        default: nil
        }
    }

    /// λ_sr where none is given. Squared and absolute differences of fractions are 10² to 10³ times smaller than the other
    /// losses; without a factor, the cross-entropy with the hints would drown them.
    public var defaultWeight: Double {
        switch self {
        case .squaredError, .interval: 100
        case .absoluteError: 10
        default: 1
        }
    }

    /// The loss of a batch, a scalar.
    ///
    /// - Parameters:
    ///   - logProbabilities: log-softmax of the network, `NLHW`.
    ///   - blocks: what each block leads to expect, in the order of the shapes; nil where that is unknown.
    ///   - weights: of the blocks; empty where all weigh the same. The implicit posteriors, whose loss is one of the whole batch, take
    ///     none.
    ///   - round: for expectation maximisation after its start, the log-softmax of the last round's network.
    public func loss(
        _ logProbabilities: Tensor, blocks: [BlockExpectation?], weights: [Float] = [], shapes: BlockShapes,
        round: Tensor? = nil, device: Device
    ) throws -> Tensor {
        switch self {
        case .statisticsMatching(let matching):
            return try matching(logProbabilities, blocks: blocks, weights: weights, shapes: shapes, device: device)
        case .expectationMaximization(let matching):
            guard let round else {
                return try matching(logProbabilities, blocks: blocks, weights: weights, shapes: shapes, device: device)
            }
            return try PixelTargets.rescaled(
                round, blocks: blocks, weights: weights, shapes: shapes, device: device
            )
            .crossEntropy(logProbabilities)
        case .softNaive, .hardNaive:
            let rows = blocks.map { $0.map { self == .softNaive ? $0.means : Criterion.oneHot($0.means) } }
            return try PixelTargets(
                rows, labels: logProbabilities.shape[1], weights: weights, shapes: shapes, device: device
            )
            .crossEntropy(logProbabilities)
        case .implicitPosteriorQR(let blur), .implicitPosteriorRQ(let blur):
            let belief = try PixelTargets(
                blocks.map { $0?.means }, labels: logProbabilities.shape[1], shapes: shapes, blur: blur, device: device)
            if case .implicitPosteriorQR = self { return try ImplicitPosterior.qr(logProbabilities, belief: belief) }
            return try ImplicitPosterior.rq(logProbabilities, belief: belief)
        case .divergence, .squaredError, .absoluteError, .interval:
            let counts = try LabelCounts(logProbabilities: logProbabilities, shapes: shapes, device: device)
            let shape = counts.means.shape
            let targets = try BlockTargets(blocks, weights: weights, shape: shape, device: device)
            guard targets.total > 0 else { return try (counts.means * 0).sum() }
            // With two labels both terms are equal, and are counted once.
            let share = shape[1] == 2 ? 0.5 : 1
            let terms = try blockTerms(counts, targets: targets, device: device)
            return try (terms * targets.weights).sum() * (share / targets.total)
        }
    }

    /// The loss of each block and label, for the criteria that are sums over them.
    private func blockTerms(_ counts: LabelCounts, targets: BlockTargets, device: Device) throws -> Tensor {
        let difference = try counts.means - targets.means
        switch self {
        case .squaredError: return try difference * difference
        case .absoluteError: return try difference.absolute()
        case .interval(let radius):
            let allowed =
                try radius.map { try Tensor.full($0, shape: [1], device: device) } ?? targets.variances.squareRoot()
            let excess = try (difference.absolute() - allowed).relu()
            return try excess * excess
        case .divergence(let epsilon):
            // log(ρ/σ) = ½ (log ρ² − log σ²)
            let ratio =
                try
                (targets.variances.logarithm() - (counts.pixelVariances + epsilon).logarithm()
                + counts.perBlock { log($0) })
                * 0.5
            let spread =
                try (counts.pixelVariances * counts.perBlock { 1 / $0 } + difference * difference) / targets.variances
                * 0.5
            return try ratio + spread - 0.5
        default: throw MethodError(.training, "criterion \(name) is no sum over blocks")
        }
    }

    private static func oneHot(_ fractions: [Double]) -> [Double] {
        let most = fractions.firstIndex(of: fractions.max() ?? 0)
        return fractions.indices.map { $0 == most ? 1 : 0 }
    }

    /// The same criterion with the logarithm of statistics matching at a share of its weight.
    func scalingLogarithm(by factor: Double) -> Criterion {
        func scaled(_ matching: StatisticsMatching) -> StatisticsMatching {
            var result = matching
            result.logWeight *= factor
            return result
        }
        return switch self {
        case .statisticsMatching(let matching): .statisticsMatching(scaled(matching))
        case .expectationMaximization(let matching): .expectationMaximization(scaled(matching))
        default: self
        }
    }

    /// The one label that hard naive gives to every pixel of every class; nil where classes differ or the criterion is
    /// another one.
    ///
    /// Where no class has η > ½ for the label sought, all blocks bear the other one. Then the loss has its minimum at a
    /// constant output, which ranks nothing: AUC ½.
    public func constantLabel(priors: LabelPriors) -> Int? {
        guard self == .hardNaive else { return nil }
        let labels = Set(priors.means.map { Criterion.oneHot($0).firstIndex(of: 1) ?? 0 })
        return labels.count == 1 ? labels.first : nil
    }
}
