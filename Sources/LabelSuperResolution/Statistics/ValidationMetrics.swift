internal import Failures
internal import Foundation
internal import Torch

/// How well a network's label counts agree with the coarse labels of held-out blocks.
///
/// All are means with equal weight to each coarse class that occurs; blocks with an expectation of their own count as one class
/// together. Only coarse labels enter.
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
        let last = priors.labels.count - 1
        var blocks: [Block] = []
        for batch in batches {
            let side = batch.layout.imageSide
            let logOdds = try network.logOdds(
                ImageBatch(
                    count: batch.count, channels: batch.channels, height: side, width: side, values: batch.input))
            for (index, label) in batch.blocks.enumerated() {
                guard let expectation = try priors.expectation(of: label) else { continue }
                blocks.append(
                    Block(
                        logOdds, index: index, layout: batch.layout, coarseClass: label.coarseClass,
                        expectation: expectation))
            }
        }
        guard !blocks.isEmpty else { return nil }
        let frequency = Dictionary(blocks.map { ($0.coarseClass, 1.0) }, uniquingKeysWith: +)
        let weights = blocks.map { 1 / (frequency[$0.coarseClass, default: 1] * Double(frequency.count)) }
        func mean(_ values: [Double]) -> Double { zip(values, weights).reduce(0) { $0 + $1.0 * $1.1 } }
        let expected = blocks.map { $0.expectation.means[last] }
        let found = blocks.map(\.mean)
        let mismatches = blocks.indices.map { i in
            let rho = blocks[i].expectation.deviations[last]
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
        let expectation: BlockExpectation
        let pixels: Int
        let mean: Double
        let variance: Double

        init(
            _ logOdds: [Float], index: Int, layout: BlockLayout, coarseClass: Int?, expectation: BlockExpectation
        ) {
            self.coarseClass = coarseClass
            self.expectation = expectation
            let (n, side, imageSide) = (layout.blocksPerSide, layout.blockSide, layout.imageSide)
            let (image, block) = (index / layout.blocksPerImage, index % layout.blocksPerImage)
            let left = layout.margin + block % n * side
            let top = layout.margin + block / n * side
            var (sum, square) = (0.0, 0.0)
            for y in top..<(top + side) {
                for x in left..<(left + side) {
                    let p = 1 / (1 + exp(-logOdds[(image * imageSide + y) * imageSide + x]))
                    sum += Double(p)
                    square += Double(p * p)
                }
            }
            pixels = side * side
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
        try Tensor.from(values, shape: [count, channels, layout.imageSide, layout.imageSide], device: device)
            .channelsLast()
    }
}
