internal import Foundation

/// Whether probabilities are true frequencies: of all samples given p, does a share p turn out positive?
public struct Reliability: Codable, Equatable, Sendable {
    /// Samples of like probability.
    public struct Bin: Codable, Equatable, Sendable {
        public let count: Int
        public let meanProbability: Double
        /// Share of the samples that are positive.
        public let frequency: Double
    }

    /// From low to high probability, empty ones left out.
    public let bins: [Bin]
    /// Σ n_b / n · |frequency − mean probability| (Guo et al. 2017).
    public let expectedCalibrationError: Double

    /// - Parameter binCount: equal steps of probability; ten is what is usually quoted.
    public init(probabilities: [Double], isPositive: [Bool], binCount: Int = 10) {
        var sums = [(count: Int, probability: Double, positives: Int)](repeating: (0, 0, 0), count: binCount)
        for (p, positive) in zip(probabilities, isPositive) {
            let bin = max(0, min(binCount - 1, Int(p * Double(binCount))))
            sums[bin].count += 1
            sums[bin].probability += p
            sums[bin].positives += positive ? 1 : 0
        }
        bins = sums.filter { $0.count > 0 }.map {
            Bin(
                count: $0.count, meanProbability: $0.probability / Double($0.count),
                frequency: Double($0.positives) / Double($0.count))
        }
        let total = Double(max(1, probabilities.count))
        expectedCalibrationError = bins.reduce(0) {
            $0 + Double($1.count) / total * abs($1.frequency - $1.meanProbability)
        }
    }
}

/// Softens or sharpens a network by one number, fitted to coarse labels alone.
///
/// Fine labels would say how often a pixel given p is positive. Coarse labels say how many pixels of a block are: the
/// temperature T is the one with which the blocks' mean probabilities σ(log-odds / T) agree best with η, in units of ρ.
public enum TemperatureScaling {
    /// Temperatures that are tried: steps of 5 %.
    private static let candidates = (-28...28).map { pow(1.05, Double($0)) }
    /// Log-odds are gathered in steps of an eighth; beyond ± 64 even the highest temperature leaves nothing of them.
    private static let (most, steps) = (64.0, 8.0)

    /// The best temperature between ¼ and 4; 1 where there is no block.
    ///
    /// - Parameter batches: held-out blocks.
    public static func fit(
        _ network: any SegmentationNetwork, batches: [BlockBatch], priors: LabelPriors
    ) throws -> Double {
        let bins = Int(2 * most * steps) + 1
        let last = priors.labels.count - 1
        var blocks: [(histogram: [Double], coarseClass: Int)] = []
        for batch in batches {
            let layout = batch.layout
            let (side, n) = (layout.imageSide, layout.blocksPerSide)
            let logOdds = try network.logOdds(
                ImageBatch(
                    count: batch.count, channels: batch.channels, height: side, width: side, values: batch.input))
            for (index, known) in batch.classes.enumerated() {
                guard let known else { continue }
                let (image, block) = (index / layout.blocksPerImage, index % layout.blocksPerImage)
                let (left, top) = (
                    layout.margin + block % n * layout.blockSide, layout.margin + block / n * layout.blockSide
                )
                var histogram = [Double](repeating: 0, count: bins)
                for y in top..<(top + layout.blockSide) {
                    for x in left..<(left + layout.blockSide) {
                        let value = Double(logOdds[(image * side + y) * side + x])
                        histogram[Int(((max(-most, min(most, value)) + most) * steps).rounded())] += 1
                    }
                }
                let pixels = Double(layout.blockSide * layout.blockSide)
                blocks.append((histogram.map { $0 / pixels }, known))
            }
        }
        guard !blocks.isEmpty else { return 1 }
        let frequency = Dictionary(blocks.map { ($0.coarseClass, 1.0) }, uniquingKeysWith: +)
        func mismatch(_ temperature: Double) -> Double {
            let probabilities = (0..<bins).map { 1 / (1 + exp(-(Double($0) / steps - most) / temperature)) }
            return blocks.reduce(0) { sum, block in
                let mean = zip(block.histogram, probabilities).reduce(0) { $0 + $1.0 * $1.1 }
                let error = (mean - priors.means[block.coarseClass][last]) / priors.deviations[block.coarseClass][last]
                return sum + error * error / frequency[block.coarseClass, default: 1]
            }
        }
        return candidates.min { mismatch($0) < mismatch($1) } ?? 1
    }
}
