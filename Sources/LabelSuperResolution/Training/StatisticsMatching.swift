internal import Failures
internal import Foundation
public import Torch

/// The statistics-matching loss (paper eq. 7, sign turned; docs/method.md §1):
///
///     D = ½ (μ − η)² / (σ² + ρ²) + ½ log(2π σ²)
///
/// the mean over blocks of the sum over labels. With two labels both terms are equal, and the sum is halved.
public struct StatisticsMatching: Codable, Equatable, Sendable {
    /// Added to v = N σ² under the logarithm: log σ² = log(v + ε) − log N. The constant must not be added to σ² itself,
    /// which is 10⁴ times smaller and would vanish beside it.
    public var epsilon: Double
    /// The weight of the logarithm. It makes predictions sharp; at full weight it freezes early mistakes.
    public var logWeight: Double
    /// σ² is multiplied by this in the denominator: pixels of one object are not independent draws.
    public var clusterPixels: Double
    /// The weight of (log r)², r = mean of (μ − η)²/ρ² over a batch's blocks and labels: counts are to scatter about η as much as
    /// their class does, neither more nor less; nil for 0.
    public var varianceWeight: Double?
    /// A smaller ρ counts as this; nil for none. Where some blocks bear another class than their own, or lie shifted, what a class
    /// never holds has a tiny ρ, and the few blocks that hold it would outweigh all others.
    public var leastDeviation: Double?

    public init(
        epsilon: Double = 0.03, logWeight: Double = 1, clusterPixels: Double = 1, varianceWeight: Double? = nil,
        leastDeviation: Double? = nil
    ) {
        self.epsilon = epsilon
        self.logWeight = logWeight
        self.clusterPixels = clusterPixels
        self.varianceWeight = varianceWeight
        self.leastDeviation = leastDeviation
    }

    /// The loss of a batch, a scalar; unknown blocks are skipped.
    public func callAsFunction(
        _ logProbabilities: Tensor, blocks: [BlockExpectation?], weights: [Float] = [], shapes: BlockShapes,
        device: Device
    ) throws -> Tensor {
        let counts = try LabelCounts(logProbabilities: logProbabilities, shapes: shapes, device: device)
        let shape = counts.means.shape
        let targets = try BlockTargets(
            blocks, weights: weights, leastDeviation: leastDeviation ?? 0, shape: shape, device: device)
        guard targets.total > 0 else {
            return try (counts.means * 0).sum()
        }
        let difference = try counts.means - targets.means
        let spread = try counts.pixelVariances * counts.perBlock { clusterPixels / $0 } + targets.variances
        let match = try difference * difference / spread
        let logarithm = try (counts.pixelVariances + epsilon).logarithm() + counts.perBlock { log(2 * .pi / $0) }
        let terms = try (match + logarithm * logWeight) * targets.weights
        let share = shape[1] == 2 ? 0.25 : 0.5
        let loss = try terms.sum() * (share / targets.total)
        guard let varianceWeight, varianceWeight != 0 else { return loss }
        let ratio =
            try (difference * difference / targets.variances * targets.weights).sum()
            * (1 / (Double(shape[1]) * targets.total))
        // The constant keeps the logarithm finite where a batch fits to the last digit.
        let ratioLogarithm = try (ratio + 1e-3).logarithm()
        return try loss + ratioLogarithm * ratioLogarithm * varianceWeight
    }
}

/// η, ρ² and a weight for every block and label of a batch.
struct BlockTargets {
    let means: Tensor
    let variances: Tensor
    /// The block's weight, 1 where none is given; 0 where it is unknown.
    let weights: Tensor
    /// The sum of the known blocks' weights.
    let total: Double

    /// - Parameters:
    ///   - expectations: of each block, image by image and row by row.
    ///   - own: the blocks' weights; empty for 1.
    ///   - leastDeviation: a smaller ρ counts as this.
    ///   - shape: images × labels × rows × columns.
    init(
        _ expectations: [BlockExpectation?], weights own: [Float] = [], leastDeviation: Double = 0, shape: [Int],
        device: Device
    ) throws {
        let (labels, blocks) = (shape[1], shape[2] * shape[3])
        guard expectations.count == shape[0] * blocks,
            expectations.allSatisfy({ $0.map { $0.means.count == labels } ?? true })
        else {
            throw MethodError(.training, "the labels of \(expectations.count) blocks do not fit \(shape)")
        }
        let count = shape.reduce(1, *)
        var means = [Float](repeating: 0, count: count)
        // An unknown block gets a variance of 1 so that nothing divides by zero before its weight of 0 removes it.
        var variances = [Float](repeating: 1, count: count)
        var weights = [Float](repeating: 0, count: count)
        for (index, expectation) in expectations.enumerated() {
            guard let expectation else { continue }
            let (image, block) = (index / blocks, index % blocks)
            for label in 0..<labels {
                let i = (image * labels + label) * blocks + block
                means[i] = Float(expectation.means[label])
                let deviation = max(leastDeviation, expectation.deviations[label])
                variances[i] = Float(deviation * deviation)
                weights[i] = own.isEmpty ? 1 : own[index]
            }
        }
        self.means = try Tensor.from(means, shape: shape, device: device)
        self.variances = try Tensor.from(variances, shape: shape, device: device)
        self.weights = try Tensor.from(weights, shape: shape, device: device)
        total = expectations.indices.reduce(0) {
            expectations[$1] == nil ? $0 : $0 + (own.isEmpty ? 1 : Double(own[$1]))
        }
    }
}
