internal import Foundation

/// What a network finds: how likely each label is at each pixel of each image.
///
/// Two labels take one plane, their log-odds, since the other follows; more labels take a plane each.
public struct LabelScores: Sendable {
    public let count: Int
    public let labels: Int
    public let height: Int
    public let width: Int
    /// Image by image: with two labels log p/(1 − p) of the last at each pixel, with more log p, label by label.
    private let values: [Float]

    /// - Parameter values: as many planes an image as ``planes(labels:)`` says.
    public init(count: Int, labels: Int, height: Int, width: Int, values: [Float]) {
        precondition(labels >= 2, "one label alone is no question")
        precondition(
            values.count == count * LabelScores.planes(labels: labels) * height * width,
            "scores are count × planes × height × width")
        self.count = count
        self.labels = labels
        self.height = height
        self.width = width
        self.values = values
    }

    /// The same for two labels, from the log-odds of the last.
    public init(of batch: ImageBatch, logOdds: [Float]) {
        self.init(count: batch.count, labels: 2, height: batch.height, width: batch.width, values: logOdds)
    }

    /// Planes of an image.
    public static func planes(labels: Int) -> Int { labels == 2 ? 1 : labels }

    /// log p/(1 − p) of the last label at each pixel, image by image and row by row. With two labels this is what is stored.
    public var logOdds: [Float] { labels == 2 ? values : logOdds(of: labels - 1) }

    /// The same of any label.
    public func logOdds(of label: Int) -> [Float] {
        precondition((0..<labels).contains(label), "there is no such label")
        if labels == 2 { return label == 1 ? values : values.map { -$0 } }
        let pixels = height * width
        return (0..<count * pixels).map { index in
            let first = index / pixels * labels * pixels + index % pixels
            let logP = Double(values[first + label * pixels])
            // The sum of the others, not 1 − p: near 1 that would lose its last digits.
            let rest = (0..<labels).reduce(0.0) {
                $1 == label ? $0 : $0 + exp(Double(values[first + $1 * pixels]))
            }
            return Float(logP - log(max(rest, 1e-37)))
        }
    }

    /// The probability of a label at each pixel.
    public func probabilities(of label: Int) -> [Float] {
        precondition((0..<labels).contains(label), "there is no such label")
        if labels == 2 { return values.map { 1 / (1 + exp(label == 1 ? -$0 : $0)) } }
        let pixels = height * width
        return (0..<count).flatMap { image in
            let first = (image * labels + label) * pixels
            return values[first..<(first + pixels)].map { exp($0) }
        }
    }

    /// The likeliest label of each pixel, the first of equal ones.
    ///
    /// - Parameter weights: a factor of each label's probability; nil for 1.
    public func likeliest(weights: [Double]? = nil) -> [UInt8] {
        precondition(weights.map { $0.count == labels } ?? true, "there is one weight a label")
        let offsets = (weights ?? [Double](repeating: 1, count: labels)).map { Float(log($0)) }
        let pixels = height * width
        if labels == 2 { return values.map { $0 + offsets[1] > offsets[0] ? 1 : 0 } }
        return (0..<count * pixels).map { index in
            let first = index / pixels * labels * pixels + index % pixels
            var best = (label: 0, value: -Float.infinity)
            for label in 0..<labels {
                let value = values[first + label * pixels] + offsets[label]
                if value > best.value { best = (label, value) }
            }
            return UInt8(best.label)
        }
    }

    /// Softened or sharpened: log p / T, normalised.
    public func tempered(_ temperature: Double) -> LabelScores {
        guard temperature != 1 else { return self }
        let divisor = Float(temperature)
        var changed = values.map { $0 / divisor }
        if labels > 2 {
            for image in 0..<count {
                changed.withUnsafeMutableBufferPointer { buffer in
                    guard let base = buffer.baseAddress else { return }
                    LabelScores.normalize(
                        base + image * labels * height * width, labels: labels, pixels: height * width)
                }
            }
        }
        return LabelScores(count: count, labels: labels, height: height, width: width, values: changed)
    }

    /// Subtracts log Σ eˢ from the scores of each pixel of one image, label by label.
    static func normalize(_ scores: UnsafeMutablePointer<Float>, labels: Int, pixels: Int) {
        for pixel in 0..<pixels {
            var largest = -Float.infinity
            for label in 0..<labels { largest = max(largest, scores[label * pixels + pixel]) }
            var sum: Float = 0
            for label in 0..<labels { sum += exp(scores[label * pixels + pixel] - largest) }
            let all = largest + log(sum)
            for label in 0..<labels { scores[label * pixels + pixel] -= all }
        }
    }
}
