internal import Foundation

/// How well counts of the same things by several readers agree.
public struct CountAgreement: Codable, Equatable, Sendable {
    /// Two readers' differences (Bland & Altman 1986).
    public struct Pair: Codable, Equatable, Sendable {
        public let first: String
        public let second: String
        /// Things that both counted.
        public let count: Int
        /// Mean of first − second.
        public let bias: Double
        /// Bias ± 1.96 standard deviations: 19 of 20 differences lie between; nil with fewer than two things.
        public let lowerLimit: Double?
        public let upperLimit: Double?
        /// Mean of both and first − second, of each thing.
        public let points: [[Double]]
    }

    /// Things that two readers or more counted.
    public let count: Int
    /// ICC(1): the share of the variance of single counts that is between things, not between readers (one-way random effects;
    /// Shrout & Fleiss 1979, with k₀ for unequal numbers of readers). nil with fewer than two things or without any variance.
    public let intraclassCorrelation: Double?
    /// A reader's standard deviation as a share of the count, √(Σ s² / Σ m²) over things counted more than once; nil where nothing was
    /// found in any.
    public let readerError: Double?
    /// Each two readers with things in common, by name.
    public let pairs: [Pair]

    /// - Parameter readings: the counts of each thing, by reader.
    public init(_ readings: [[(reader: String, count: Double)]]) {
        let shared = readings.filter { $0.count > 1 }
        count = shared.count
        let means = shared.map { things in things.reduce(0) { $0 + $1.count } / Double(things.count) }
        let squares = zip(shared, means).map { things, mean in
            things.reduce(0) { $0 + ($1.count - mean) * ($1.count - mean) }
        }
        let total = Double(shared.reduce(0) { $0 + $1.count })
        let within = squares.reduce(0, +) / max(1, total - Double(shared.count))
        let grand = zip(shared, means).reduce(0) { $0 + Double($1.0.count) * $1.1 } / max(1, total)
        let between =
            zip(shared, means).reduce(0) { $0 + Double($1.0.count) * ($1.1 - grand) * ($1.1 - grand) }
            / max(1, Double(shared.count - 1))
        let typical =
            (total - shared.reduce(0) { $0 + Double($1.count * $1.count) } / max(1, total))
            / max(1, Double(shared.count - 1))
        let variance = between + (typical - 1) * within
        intraclassCorrelation = shared.count > 1 && variance > 0 ? (between - within) / variance : nil
        let found = means.reduce(0) { $0 + $1 * $1 }
        let spread = zip(shared, squares).reduce(0) { $0 + $1.1 / Double($1.0.count - 1) }
        readerError = found > 0 ? (spread / found).squareRoot() : nil
        pairs = CountAgreement.pairs(shared)
    }

    private static func pairs(_ shared: [[(reader: String, count: Double)]]) -> [Pair] {
        var common: [[String]: [[Double]]] = [:]
        for things in shared {
            let sorted = things.sorted { $0.reader < $1.reader }
            for (index, one) in sorted.enumerated() {
                for other in sorted[(index + 1)...] where other.reader != one.reader {
                    common[[one.reader, other.reader], default: []]
                        .append([(one.count + other.count) / 2, one.count - other.count])
                }
            }
        }
        return common.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { names, points in
            let bias = points.reduce(0) { $0 + $1[1] } / Double(points.count)
            let square = points.reduce(0) { $0 + ($1[1] - bias) * ($1[1] - bias) }
            let deviation = points.count > 1 ? (square / Double(points.count - 1)).squareRoot() : nil
            return Pair(
                first: names[0], second: names[1], count: points.count, bias: bias,
                lowerLimit: deviation.map { bias - 1.96 * $0 }, upperLimit: deviation.map { bias + 1.96 * $0 },
                points: points)
        }
    }
}
