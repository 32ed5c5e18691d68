internal import Torch

/// How well a network's label counts agree with the coarse labels of held-out blocks.
///
/// All are means with equal weight to each coarse class that occurs; only coarse labels enter.
public struct ValidationMetrics: Codable, Equatable, Sendable {
    /// Correlation of μ and η; negative where labels are flipped (paper Fig. 7).
    public var correlation: Double
    /// Mean of (μ − η)² / (σ² + ρ²).
    public var mismatch: Double
    /// Mean of |μ − η|.
    public var absoluteError: Double
    /// Mean of p (1 − p): near 0 where predictions are sharp.
    public var pixelVariance: Double

    /// Runs the network in evaluation mode over validation batches; nil where there is no block.
    static func measure(
        _ network: UNet, batches: [BlockBatch], priors: LabelPriors, device: Device
    ) throws -> ValidationMetrics? {
        var (found, expected, classes, mismatches, variances): ([Double], [Double], [Int], [Double], [Double]) = ([], [], [], [], [])
        let last = priors.labels.count - 1
        for batch in batches {
            try withoutGradients {
                let scores = try network(batch.tensor(device: device), isTraining: false)
                let counts = try LabelCounts(logProbabilities: scores.logSoftmax(dimension: 1), layout: batch.layout)
                let means = try counts.means.values()
                let pixelVariances = try counts.pixelVariances.values()
                let blocks = batch.layout.blocksPerImage
                for (index, known) in batch.classes.enumerated() {
                    guard let known else { continue }
                    let i = (index / blocks * priors.labels.count + last) * blocks + index % blocks
                    let difference = Double(means[i]) - priors.means[known][last]
                    let rho = priors.deviations[known][last]
                    found.append(Double(means[i]))
                    expected.append(priors.means[known][last])
                    classes.append(known)
                    variances.append(Double(pixelVariances[i]))
                    mismatches.append(
                        difference * difference / (Double(pixelVariances[i]) / Double(counts.blockPixels) + rho * rho))
                }
            }
        }
        guard !found.isEmpty else { return nil }
        let frequency = Dictionary(classes.map { ($0, 1.0) }, uniquingKeysWith: +)
        let weights = classes.map { 1 / (frequency[$0, default: 1] * Double(frequency.count)) }
        func mean(_ values: [Double]) -> Double { zip(values, weights).reduce(0) { $0 + $1.0 * $1.1 } }
        return ValidationMetrics(
            correlation: Ranks.correlation(found, expected, weights: weights) ?? 0, mismatch: mean(mismatches),
            absoluteError: mean(zip(found, expected).map { abs($0 - $1) }), pixelVariance: mean(variances))
    }
}

extension BlockBatch {
    /// The input on a device, channels innermost.
    func tensor(device: Device) throws(TorchError) -> Tensor {
        try Tensor.from(input, shape: [count, channels, layout.imageSide, layout.imageSide], device: device).channelsLast()
    }
}
