internal import Foundation
public import LabelSuperResolution

/// What a count of lymphocytes in a square leads to expect of its pixels: η = count · A / N, and ρ from all that makes a count
/// and an area differ (docs/method.md §7).
public struct CellCounting: Codable, Equatable, Sendable {
    /// A: the area of one lymphocyte's nucleus, µm².
    public var cellArea: Double
    /// Standard deviation of the nuclei's areas as a share of their mean.
    public var areaSpread: Double
    /// Standard deviation of A itself, as a share of it: of one slide, or one laboratory, against another.
    public var meanAreaError: Double
    /// A reader's standard deviation as a share of the count.
    public var readerError: Double

    /// A disc of 7 µm, the usual size of a small lymphocyte's nucleus in sections; 154 px at 0.5 µm.
    public static let standardCellArea = Double.pi * 3.5 * 3.5

    /// - Parameter readerError: the usual difference between pathologists who count the same square is 10 to 20 %.
    public init(
        cellArea: Double = CellCounting.standardCellArea, areaSpread: Double = 0.35, meanAreaError: Double = 0.15,
        readerError: Double = 0.15
    ) {
        self.cellArea = cellArea
        self.areaSpread = areaSpread
        self.meanAreaError = meanAreaError
        self.readerError = readerError
    }

    /// The expected share of lymphocyte pixels of a square, and its standard deviation.
    ///
    /// - Parameters:
    ///   - count: of lymphocytes whose centre lies inside, the mean where several readers counted.
    ///   - readers: how many readers that is the mean of.
    ///   - sideMicrons: of the square.
    public func share(count: Double, readers: Int, sideMicrons: Double) -> (mean: Double, deviation: Double) {
        let diameter = 2 * (cellArea / .pi).squareRoot()
        let reading = readerError * readerError * count * count / Double(max(1, readers))
        let scale = meanAreaError * meanAreaError * count * count
        let single = areaSpread * areaSpread * count
        // A cell whose centre is within a radius of an edge gives a part of its area to the other side. The part is even from
        // 0 to ½, so its square is 1/12 on average; half a cell more, since a square without a centre has neighbours too.
        let edge = (count + 0.5) * min(1, 4 * diameter / sideMicrons) / 12
        let share = cellArea / (sideMicrons * sideMicrons)
        return (min(1, count * share), min(1, (reading + scale + single + edge).squareRoot() * share))
    }

    /// The same as what a block leads to expect: background and lymphocyte.
    public func expectation(count: Double, readers: Int, sideMicrons: Double) throws -> BlockExpectation {
        let (mean, deviation) = share(count: count, readers: readers, sideMicrons: sideMicrons)
        return try BlockExpectation(means: [1 - mean, mean], deviations: [deviation, deviation])
    }
}

/// Kinds of squares by how much was counted in them: drawn and held out by these, so that the few dense ones are not lost among
/// the many empty ones. They stand in for a heatmap's classes where there is none.
public struct CountStrata: Equatable, Sendable {
    /// The lowest count of each stratum that occurs, from 0 up.
    private let lower: [Double]
    public let names: [String]
    /// Mean and deviation of each stratum's squares.
    public let priors: LabelPriors

    /// Each stratum begins at about twice the last: 0, 1, 2–3, 4–7 …
    private static func step(_ count: Double) -> Int { count < 0.5 ? 0 : 1 + Int(log2(max(1, count))) }

    /// - Parameter squares: at least one.
    public init(_ squares: [SquareReadings], counting: CellCounting) throws {
        let steps = Dictionary(grouping: squares) { CountStrata.step($0.mean) }.sorted { $0.key < $1.key }
        lower = steps.map { $0.key == 0 ? 0 : pow(2, Double($0.key - 1)) }
        names = steps.map { step, _ in
            guard step > 1 else { return "\(step) counted" }
            return "\(1 << (step - 1))–\((1 << step) - 1) counted"
        }
        let shares = steps.map { _, members in
            members.map {
                counting.share(count: $0.mean, readers: $0.counts.count, sideMicrons: $0.sideMicrons)
            }
        }
        func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
        priors = try LabelPriors.binary(
            label: "lymphocyte", means: shares.map { mean($0.map(\.mean)) },
            deviations: shares.map { mean($0.map(\.deviation)) }, origin: "\(squares.count) counted squares")
    }

    /// The stratum of a count.
    public func index(of count: Double) -> Int {
        // The rounding of a mean of readers goes with the strata's names.
        lower.lastIndex { count < 0.5 ? $0 == 0 : $0 <= max(1, count) } ?? 0
    }
}
