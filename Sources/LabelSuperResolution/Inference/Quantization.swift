internal import Foundation
internal import OneDNN
internal import Torch

/// The arithmetic of inference.
public enum InferencePrecision: String, Codable, Sendable, CaseIterable {
    case float32 = "fp32"
    /// Bytes: four to five times as fast where the CPU has VNNI.
    case int8
}

/// How a network's numbers become bytes: the largest value of each input channel and after each convolution, found on the
/// held-out blocks and on input as far from the usual as there can be, and how far the result is from that in 32 bits.
public struct Quantization: Codable, Equatable, Sendable {
    /// The largest magnitude of each input channel.
    var inputLimits: [Float]
    /// The largest value after each convolution, in the order of the layers down and then up, level 0 first.
    var limits: [Float]
    /// Mean |p in bytes − p in 32 bits| over the pixels of the regions.
    public internal(set) var meanDifference: Double
    /// AUC of the bytes' log-odds where the label is what 32 bits decide: 1 where every threshold could be matched.
    public internal(set) var agreement: Double

    /// Whether bytes may stand in for 32 bits.
    public var isFaithful: Bool { meanDifference <= 0.01 && agreement >= 0.995 }

    /// Sizes of numbers within a network: inputs are colours and densities, of order one; what comes after a convolution with
    /// folded batch norm is within some hundreds. Beyond, every pixel would become the same byte.
    private static let possibleInput: ClosedRange<Float> = 1e-6...1000
    private static let possibleOutput: ClosedRange<Float> = 1e-6...100_000

    /// Whether the limits are numbers that a network of this architecture can have, one for each channel and layer.
    func isPossible(for architecture: UNetArchitecture) -> Bool {
        let layers = architecture.convolutionCount
        return inputLimits.count == architecture.inputChannels && limits.count == layers
            && inputLimits.allSatisfy(Quantization.possibleInput.contains)
            && limits.allSatisfy(Quantization.possibleOutput.contains) && limits.contains { $0 > 1e-3 }
            && inputLimits.contains { $0 > 1e-2 } && meanDifference.isFinite && agreement.isFinite
    }

    /// The share of values that a limit holds. What lies beyond is clamped; one stray value must not coarsen all others.
    static let quantile = 0.99995
}

extension Quantization {
    /// Finds the limits of a network on batches, and measures what they cost.
    ///
    /// - Parameters:
    ///   - extremes: images with what the batches may lack, such as ink: they widen the limits, so that what lies beyond
    ///     the batches is not clamped to the likeness of what lies within, and are not measured.
    ///   - threshold: the probability that decides, of the network without temperature.
    /// - Returns: nil where there is nothing to measure on.
    public static func calibrate(
        _ network: UNet, batches: [BlockBatch], extremes: [BlockBatch] = [], threshold: Double
    ) throws -> Quantization? {
        let folded = try FoldedUNet(network)
        guard let first = batches.first else { return nil }
        let (height, width) = (first.imageSide, first.imageSide)
        guard height % folded.architecture.gridMultiple == 0 else { return nil }
        var inputs = [SizeHistogram](repeating: SizeHistogram(), count: folded.architecture.inputChannels)
        let layers = folded.down.flatMap(\.self).count + folded.up.flatMap(\.self).count
        var outputs = [SizeHistogram](repeating: SizeHistogram(), count: layers)
        let plan = try UNetPlan(folded, height: height, width: width, quantization: nil)
        let size = folded.architecture.inputChannels * height * width
        func images(of batches: [BlockBatch]) -> [[Float]] {
            batches.filter { $0.imageSide == first.imageSide }.flatMap { batch in
                (0..<batch.count).map { Array(batch.input[($0 * size)..<(($0 + 1) * size)]) }
            }
        }
        let measured = images(of: batches)
        var exact: [LabelScores] = []
        for image in measured + images(of: extremes) {
            for channel in inputs.indices {
                let magnitudes = image[(channel * height * width)..<((channel + 1) * height * width)].map(abs)
                inputs[channel].add(magnitudes, count: magnitudes.count)
            }
            exact.append(
                try scores(of: folded.architecture.labels, height: height, width: width) { result in
                    try plan.run(image, into: result) { index, values, count in
                        outputs[index].add(values, count: count)
                    }
                })
        }
        var found = Quantization(
            inputLimits: inputs.map { max(1e-6, $0.value(at: quantile)) },
            limits: outputs.map { max(1e-6, $0.value(at: quantile)) }, meanDifference: 1, agreement: 0.5)
        try found.measure(
            UNetPlan(folded, height: height, width: width, quantization: found), images: measured,
            exact: Array(exact.prefix(measured.count)), threshold: threshold)
        return found
    }

    /// The scores of one image that a plan writes.
    private static func scores(
        of labels: Int, height: Int, width: Int, write: (UnsafeMutablePointer<Float>) throws -> Void
    ) throws -> LabelScores {
        var values = [Float](repeating: 0, count: LabelScores.planes(labels: labels) * height * width)
        try values.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { try write(base) }
        }
        return LabelScores(count: 1, labels: labels, height: height, width: width, values: values)
    }

    private mutating func measure(
        _ plan: UNetPlan, images: [[Float]], exact: [LabelScores], threshold: Double
    ) throws {
        let limit = Float(log(threshold / (1 - threshold)))
        var (difference, pixels) = (0.0, 0)
        var scores: [Double] = []
        var decisions: [Bool] = []
        for (image, wanted) in zip(images, exact) {
            let found = try Quantization.scores(of: wanted.labels, height: wanted.height, width: wanted.width) {
                try plan.run(image, into: $0)
            }
            // Of two labels, what one has gained the other has lost.
            for label in (wanted.labels == 2 ? 1 : 0)..<wanted.labels {
                let (a, b) = (found.probabilities(of: label), wanted.probabilities(of: label))
                for i in a.indices { difference += Double(abs(a[i] - b[i])) }
                pixels += a.count
            }
            let (odds, wantedOdds) = (found.logOdds, wanted.logOdds)
            // Every seventh pixel is enough for a rank statistic, and keeps its sorting short.
            for i in stride(from: 0, to: odds.count, by: 7) {
                scores.append(Double(odds[i]))
                decisions.append(wantedOdds[i] >= limit)
            }
        }
        meanDifference = difference / Double(max(1, pixels))
        // Without both decisions there is no rank to keep.
        let isMixed = decisions.contains(true) && decisions.contains(false)
        agreement = isMixed ? try AreaUnderCurve(scores: scores, isPositive: decisions).value : 1
    }
}
