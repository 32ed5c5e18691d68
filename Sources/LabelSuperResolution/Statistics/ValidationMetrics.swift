internal import Failures
internal import Foundation
internal import Torch

/// How well a network's label counts agree with the coarse labels of held-out blocks.
///
/// All are means with equal weight to each coarse class that occurs; blocks with an expectation of their own count as one class
/// together. Of two labels the last is looked at, of more all alike. Only coarse labels enter.
public struct ValidationMetrics: Codable, Equatable, Sendable {
    /// Correlation of μ and η; negative where labels are flipped (paper Fig. 7).
    public var correlation: Double
    /// Mean of (μ − η)² / (σ² + ρ²).
    public var mismatch: Double
    /// Mean of |μ − η|.
    public var absoluteError: Double
    /// Mean of p (1 − p): near 0 where predictions are sharp.
    public var pixelVariance: Double

    /// Runs the network over validation batches; nil where there is no block.
    public static func measure(
        _ network: any SegmentationNetwork, batches: [BlockBatch], priors: LabelPriors
    ) throws -> ValidationMetrics? {
        let looked = priors.labels.count == 2 ? [1] : Array(priors.labels.indices)
        var blocks: [Block] = []
        for batch in batches {
            let side = batch.imageSide
            let scores = try network.scores(
                ImageBatch(
                    count: batch.count, channels: batch.channels, height: side, width: side, values: batch.input))
            for sought in looked {
                let probabilities = scores.probabilities(of: sought)
                for (index, label) in batch.blocks.enumerated() {
                    guard let expectation = try priors.expectation(of: label) else { continue }
                    blocks.append(
                        Block(
                            probabilities, index: index, shapes: batch.shapes, coarseClass: label.coarseClass,
                            expected: expectation.means[sought], deviation: expectation.deviations[sought]))
                }
            }
        }
        guard !blocks.isEmpty else { return nil }
        let frequency = Dictionary(blocks.map { ($0.coarseClass, 1.0) }, uniquingKeysWith: +)
        let weights = blocks.map { 1 / (frequency[$0.coarseClass, default: 1] * Double(frequency.count)) }
        func mean(_ values: [Double]) -> Double { zip(values, weights).reduce(0) { $0 + $1.0 * $1.1 } }
        let expected = blocks.map(\.expected)
        let found = blocks.map(\.mean)
        let mismatches = blocks.indices.map { i in
            let rho = blocks[i].deviation
            return (found[i] - expected[i]) * (found[i] - expected[i])
                / (blocks[i].variance / Double(blocks[i].pixels) + rho * rho)
        }
        return ValidationMetrics(
            correlation: Ranks.correlation(found, expected, weights: weights) ?? 0, mismatch: mean(mismatches),
            absoluteError: mean(zip(found, expected).map { abs($0 - $1) }),
            pixelVariance: mean(blocks.map(\.variance)))
    }

    /// What the network predicts for one block.
    private struct Block {
        /// nil for a block with an expectation of its own.
        let coarseClass: Int?
        let expected: Double
        let deviation: Double
        let pixels: Int
        let mean: Double
        let variance: Double

        init(
            _ probabilities: [Float], index: Int, shapes: BlockShapes, coarseClass: Int?, expected: Double,
            deviation: Double
        ) {
            self.coarseClass = coarseClass
            self.expected = expected
            self.deviation = deviation
            var (sum, square) = (0.0, 0.0)
            for run in shapes.runs(of: index) {
                for place in run {
                    let p = probabilities[place]
                    sum += Double(p)
                    square += Double(p * p)
                }
            }
            pixels = max(1, shapes.size(of: index))
            mean = sum / Double(pixels)
            variance = (sum - square) / Double(pixels)
        }
    }
}

extension BlockBatch {
    /// The input on a device, channels innermost.
    func tensor(device: Device) throws(TorchError) -> Tensor {
        try tensor(of: input, device: device)
    }

    /// What teachers see on a device, channels innermost; nil where they see the input.
    func teacherTensor(device: Device) throws(TorchError) -> Tensor? {
        try teacherInput.isEmpty ? nil : tensor(of: teacherInput, device: device)
    }

    private func tensor(of values: [Float], device: Device) throws(TorchError) -> Tensor {
        try Tensor.from(values, shape: [count, channels, imageSide, imageSide], device: device)
            .channelsLast()
    }
}
