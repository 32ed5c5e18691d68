internal import Failures
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

/// The log-odds that a network gives the pixels of each of many blocks, as histograms: all that calibration needs.
public struct BlockHistograms: Sendable {
    /// One block.
    struct Block: Sendable {
        /// nil for a block with an expectation of its own.
        let coarseClass: Int?
        /// η and ρ of the last label.
        let mean: Double
        let deviation: Double
        /// Share of the block's pixels in each step of log-odds.
        let shares: [Float]
    }

    let blocks: [Block]

    /// Steps per unit of log-odds, and the last ones: beyond ± 48 even the highest temperature leaves nothing.
    private static let (most, steps): (Float, Float) = (48, 32)
    static let count = Int(2 * most * steps) + 1

    /// The log-odds in the middle of a step.
    static func logOdds(_ bin: Int) -> Double { Double(bin) / Double(steps) - Double(most) }
    /// The log-odds at the lower end of a step.
    static func lowerEnd(_ bin: Int) -> Double { (Double(bin) - 0.5) / Double(steps) - Double(most) }

    /// Runs a network over blocks; unknown ones are left out.
    ///
    /// - Parameters:
    ///   - network: without temperature, as it was trained.
    ///   - batches: one at a time is held.
    /// - Throws: what the network throws; ``MethodError`` where a block's class has no priors.
    public init(
        _ network: any SegmentationNetwork, batches: some Sequence<BlockBatch>, priors: LabelPriors
    ) throws {
        let last = priors.labels.count - 1
        var blocks: [Block] = []
        for batch in batches {
            let side = batch.imageSide
            let logOdds = try network.logOdds(
                ImageBatch(
                    count: batch.count, channels: batch.channels, height: side, width: side, values: batch.input))
            let (most, steps) = (BlockHistograms.most, BlockHistograms.steps)
            for (index, label) in batch.blocks.enumerated() {
                guard let expectation = try priors.expectation(of: label) else { continue }
                var shares = [Float](repeating: 0, count: BlockHistograms.count)
                let one = 1 / Float(max(1, batch.shapes.size(of: index)))
                for run in batch.shapes.runs(of: index) {
                    for place in run {
                        let value = max(-most, min(most, logOdds[place]))
                        shares[Int(((value + most) * steps).rounded())] += one
                    }
                }
                blocks.append(
                    Block(
                        coarseClass: label.coarseClass, mean: expectation.means[last],
                        deviation: expectation.deviations[last], shares: shares))
            }
        }
        self.blocks = blocks
    }

    /// How many blocks there are of each class; those with expectations of their own are one class together.
    var frequency: [Int?: Int] { Dictionary(blocks.map { ($0.coarseClass, 1) }, uniquingKeysWith: +) }
}

/// Softens or sharpens a network by one number, fitted to coarse labels alone.
///
/// Fine labels would say how often a pixel given p is positive. Coarse labels say how many pixels of a block are: the
/// temperature T is the one with which the blocks' mean probabilities σ(log-odds / T) agree best with η, in units of ρ, each
/// class weighing the same.
public enum TemperatureScaling {
    /// Temperatures that are tried: steps of 5 %.
    private static let candidates = (-28...28).map { pow(1.05, Double($0)) }

    /// The best temperature between ¼ and 4; 1 where there is no block.
    ///
    /// - Parameter histograms: of held-out blocks: a network is surer of what it was trained on.
    public static func fit(_ histograms: BlockHistograms) -> Double {
        guard !histograms.blocks.isEmpty else { return 1 }
        let frequency = histograms.frequency
        func mismatch(_ temperature: Double) -> Double {
            let probabilities = (0..<BlockHistograms.count).map {
                Float(1 / (1 + exp(-BlockHistograms.logOdds($0) / temperature)))
            }
            return histograms.blocks.reduce(0) { sum, block in
                let mean = zip(block.shares, probabilities).reduce(Float(0)) { $0 + $1.0 * $1.1 }
                let error = (Double(mean) - block.mean) / block.deviation
                return sum + error * error / Double(frequency[block.coarseClass, default: 1])
            }
        }
        return candidates.min { mismatch($0) < mismatch($1) } ?? 1
    }
}

/// The probability at which objects end, from coarse labels alone: over regions as they come, as many pixels lie above it as
/// the priors lead to expect, so that what is found too much is as much as what is missed.
public enum AreaThreshold {
    /// Beyond these a threshold says that the network is off, not where objects end. Before the temperature, which must not
    /// change what is found.
    private static let allowed = 0.2...0.8

    /// - Parameters:
    ///   - histograms: of the network without temperature.
    ///   - regions: how many regions of each class there are, a number for each; the blocks are a sample of each. Blocks with
    ///     expectations of their own stand for themselves alone.
    /// - Returns: a probability after the temperature; nil where there is no block.
    public static func fit(_ histograms: BlockHistograms, regions: [Int], temperature: Double) -> Double? {
        guard !histograms.blocks.isEmpty else { return nil }
        let frequency = histograms.frequency
        func weight(_ block: BlockHistograms.Block) -> Double {
            block.coarseClass.map { Double(regions[$0]) / Double(frequency[$0, default: 1]) } ?? 1
        }
        let expected = histograms.blocks.reduce(0) { $0 + weight($1) * $1.mean }
        var found = [Double](repeating: 0, count: BlockHistograms.count)
        for block in histograms.blocks {
            let weight = weight(block)
            for (bin, share) in block.shares.enumerated() where share > 0 { found[bin] += weight * Double(share) }
        }
        var above = 0.0
        let bin = found.indices.reversed().first { bin in
            above += found[bin]
            return above >= expected
        }
        let limits = [allowed.lowerBound, allowed.upperBound].map { log($0 / (1 - $0)) }
        let logOdds = max(limits[0], min(limits[1], bin.map(BlockHistograms.lowerEnd) ?? limits[0]))
        return 1 / (1 + exp(-logOdds / temperature))
    }
}
