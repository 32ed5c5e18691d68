public import Torch
internal import Foundation

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
    /// σ² is multiplied by this in the denominator: pixels of one nucleus are not independent draws.
    public var clusterPixels: Double
    /// The weight of (log r)², r = mean of (μ − η)²/ρ² over a batch's blocks and labels: counts are to scatter about η as much as
    /// their class does, neither more nor less; nil for 0.
    public var varianceWeight: Double?

    public init(
        epsilon: Double = 0.03, logWeight: Double = 1, clusterPixels: Double = 1, varianceWeight: Double? = nil
    ) {
        self.epsilon = epsilon
        self.logWeight = logWeight
        self.clusterPixels = clusterPixels
        self.varianceWeight = varianceWeight
    }

    /// The loss of a batch; blocks without a class are skipped.
    ///
    /// - Returns: a scalar, and μ of every block and label for the metrics.
    public func callAsFunction(
        _ logProbabilities: Tensor, classes: [Int?], layout: BlockLayout, priors: LabelPriors, device: Device
    ) throws -> Tensor {
        let counts = try LabelCounts(logProbabilities: logProbabilities, layout: layout)
        let shape = counts.means.shape
        let targets = try BlockTargets(classes: classes, shape: shape, priors: priors, device: device)
        guard targets.knownBlocks > 0 else {
            return try (counts.means * 0).sum()
        }
        let blockPixels = Double(counts.blockPixels)
        let difference = try counts.means - targets.means
        let spread = try counts.pixelVariances * (clusterPixels / blockPixels) + targets.variances
        let match = try difference * difference / spread
        let logarithm = try (counts.pixelVariances + epsilon).logarithm() + log(2 * .pi / blockPixels)
        let terms = try (match + logarithm * logWeight) * targets.weights
        let share = shape[1] == 2 ? 0.25 : 0.5
        let loss = try terms.sum() * (share / Double(targets.knownBlocks))
        guard let varianceWeight, varianceWeight != 0 else { return loss }
        let ratio =
            try (difference * difference / targets.variances * targets.weights).sum()
            * (1 / Double(shape[1] * targets.knownBlocks))
        // The constant keeps the logarithm finite where a batch fits to the last digit.
        let ratioLogarithm = try (ratio + 1e-3).logarithm()
        return try loss + ratioLogarithm * ratioLogarithm * varianceWeight
    }
}

/// η, ρ² and a weight for every block and label of a batch.
struct BlockTargets {
    let means: Tensor
    let variances: Tensor
    /// 1 where the block's class is known, else 0.
    let weights: Tensor
    let knownBlocks: Int

    /// - Parameter shape: images × labels × rows × columns.
    init(classes: [Int?], shape: [Int], priors: LabelPriors, device: Device) throws {
        let (labels, blocks) = (shape[1], shape[2] * shape[3])
        guard labels == priors.labels.count, classes.count == shape[0] * blocks else {
            throw MethodError(
                .training, "\(classes.count) block classes and \(priors.labels.count) labels do not fit \(shape)")
        }
        let count = shape.reduce(1, *)
        var means = [Float](repeating: 0, count: count)
        // An unknown block gets a variance of 1 so that nothing divides by zero before its weight of 0 removes it.
        var variances = [Float](repeating: 1, count: count)
        var weights = [Float](repeating: 0, count: count)
        for (index, known) in classes.enumerated() {
            guard let known else { continue }
            guard known >= 0, known < priors.classCount else {
                throw MethodError(
                    .priors, "coarse class \(known) has no priors (there are \(priors.classCount) classes)")
            }
            let (image, block) = (index / blocks, index % blocks)
            for label in 0..<labels {
                let i = (image * labels + label) * blocks + block
                means[i] = Float(priors.means[known][label])
                variances[i] = Float(priors.deviations[known][label] * priors.deviations[known][label])
                weights[i] = 1
            }
        }
        self.means = try Tensor.from(means, shape: shape, device: device)
        self.variances = try Tensor.from(variances, shape: shape, device: device)
        self.weights = try Tensor.from(weights, shape: shape, device: device)
        knownBlocks = classes.reduce(0) { $0 + ($1 == nil ? 0 : 1) }
    }
}
