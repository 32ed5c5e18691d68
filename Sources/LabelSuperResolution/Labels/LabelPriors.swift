public import Failures
public import Foundation
internal import Raster

/// What is known of each coarse class beforehand: the mean η and standard deviation ρ of the fraction of a block's
/// pixels that bear each fine label.
public struct LabelPriors: Codable, Equatable, Sendable {
    /// Names of the fine labels; the order is that of the network's outputs.
    public let labels: [String]
    /// Names of the coarse classes; nil where they are known by their numbers alone.
    public var classes: [String]?
    /// η, by class and label; each class sums to 1.
    public let means: [[Double]]
    /// ρ, by class and label.
    public let deviations: [[Double]]
    /// How the numbers came about.
    public let origin: String

    /// The least ρ. A smaller one gives weights above 10⁴ and gradients to match.
    public static let leastDeviation = 0.01

    public var classCount: Int { means.count }

    /// - Throws: ``MethodError`` where the numbers are no fractions.
    public init(labels: [String], means: [[Double]], deviations: [[Double]], origin: String) throws(MethodError) {
        self.labels = labels
        self.means = means
        self.deviations = deviations.map { $0.map { max($0, LabelPriors.leastDeviation) } }
        self.origin = origin
        try validate("priors")
    }

    /// Priors for a label and its absence, from the fraction of pixels that bear it.
    public static func binary(
        label: String, background: String = "other", means: [Double], deviations: [Double], origin: String
    ) throws(MethodError) -> LabelPriors {
        try LabelPriors(
            labels: [background, label], means: means.map { [1 - $0, $0] }, deviations: deviations.map { [$0, $0] },
            origin: origin)
    }

    func validate(_ name: String) throws(MethodError) {
        guard labels.count >= 2, !means.isEmpty, means.count == deviations.count,
            means.allSatisfy({ $0.count == labels.count }), deviations.allSatisfy({ $0.count == labels.count })
        else {
            throw MethodError(
                .priors, "\(name): every class needs a mean and a deviation for each of \(labels.count) labels")
        }
        for (index, row) in means.enumerated() {
            guard row.allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1 }), abs(row.reduce(0, +) - 1) < 1e-6 else {
                throw MethodError(
                    .priors, "\(name): the means of class \(index) are no fractions that sum to 1: \(row)")
            }
            guard deviations[index].allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1 }) else {
                throw MethodError(
                    .priors, "\(name): the deviations of class \(index) are not in 0 … 1: \(deviations[index])")
            }
        }
    }

    /// Reads `priors.json`.
    public init(contentsOf url: URL) throws {
        let data: Data
        do {
            data = try FileData.read(url, mostBytes: 4 << 20)
        } catch {
            throw MethodError(.priors, "priors: \(error.message)", cause: error)
        }
        let read: LabelPriors
        do {
            read = try JSONDecoder().decode(LabelPriors.self, from: data)
        } catch {
            throw MethodError(
                .priors,
                "\(url.path) is no priors file: write one with 'graticule priors' or 'graticule landcover priors'",
                cause: error)
        }
        try read.validate(url.path)
        self = try LabelPriors(
            labels: read.labels, means: read.means, deviations: read.deviations, origin: read.origin)
        guard read.classes.map({ $0.count == classCount }) ?? true else {
            throw MethodError(.priors, "\(url.path) names \(read.classes?.count ?? 0) classes and has \(classCount)")
        }
        classes = read.classes
    }

    /// The file that ``init(contentsOf:)`` reads.
    public func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }
}

extension LabelPriors {
    /// Priors from counts of objects in a few sampled blocks of each class (paper §3.2).
    ///
    /// η = mean count · area / block, made non-decreasing in the class; ρ² = (¼ η + 0.005)² + the mean's squared standard
    /// error. Five counts are too few to tell the spread of single blocks, hence the fixed relative spread.
    ///
    /// - Parameters:
    ///   - counts: the counted objects, by class and sampled block.
    ///   - objectPixels: pixels of one object.
    ///   - blockPixels: pixels of one block.
    public static func fromCounts(
        _ counts: [[Double]], label: String, objectPixels: Double, blockPixels: Double
    ) throws(MethodError) -> LabelPriors {
        for (index, values) in counts.enumerated() where values.isEmpty {
            throw MethodError(
                .priors, "class \(index) has no counted region: every one of \(counts.count) classes needs some")
        }
        let share = objectPixels / blockPixels
        let raw = counts.map { $0.reduce(0, +) / Double($0.count) * share }
        let means = isotonic(raw, weights: counts.map { Double($0.count) }).map { min(1, $0) }
        let deviations = zip(means, counts).map { mean, values in
            let average = values.reduce(0, +) / Double(values.count)
            let variance = values.reduce(0) { $0 + ($1 - average) * ($1 - average) } / Double(max(1, values.count - 1))
            let standardError = (variance / Double(values.count)).squareRoot() * share
            let spread = 0.25 * mean + 0.005
            return (spread * spread + standardError * standardError).squareRoot()
        }
        return try binary(label: label, means: means, deviations: deviations, origin: "counts")
    }

    /// Priors from known fractions of single blocks: their means and standard deviations.
    public static func fromFractions(_ fractions: [[Double]], label: String) throws(MethodError) -> LabelPriors {
        for (index, values) in fractions.enumerated() where values.isEmpty {
            throw MethodError(
                .priors, "class \(index) has no region in the masks: every one of \(fractions.count) classes needs some"
            )
        }
        let means = fractions.map { $0.reduce(0, +) / Double($0.count) }
        let deviations = zip(means, fractions).map { mean, values in
            (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, values.count - 1))).squareRoot()
        }
        return try binary(label: label, means: means, deviations: deviations, origin: "masks")
    }

    /// The curve used where nothing was counted: from 0 to 40 % over ten classes (paper §3.2), growing with the square of
    /// the probability, since a block is named after a label long before the label fills it.
    public static func defaultCurve(label: String, classCount: Int) throws(MethodError) -> LabelPriors {
        let means = (0..<classCount).map { index in
            let probability = (Double(index) + 0.5) / Double(classCount)
            return index == 0 ? 0 : 0.4 * probability * probability
        }
        return try binary(
            label: label, means: means, deviations: means.map { 0.35 * $0 + 0.01 }, origin: "default curve 0.4 p²")
    }

    /// The closest non-decreasing sequence (pool adjacent violators).
    static func isotonic(_ values: [Double], weights: [Double]) -> [Double] {
        var pools: [(mean: Double, weight: Double, count: Int)] = []
        for (value, weight) in zip(values, weights) {
            pools.append((value, weight, 1))
            while pools.count > 1, pools[pools.count - 2].mean > pools[pools.count - 1].mean {
                let last = pools.removeLast()
                let before = pools.removeLast()
                let total = last.weight + before.weight
                pools.append(
                    ((last.mean * last.weight + before.mean * before.weight) / total, total, last.count + before.count))
            }
        }
        return pools.flatMap { [Double](repeating: $0.mean, count: $0.count) }
    }
}
