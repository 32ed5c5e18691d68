internal import BatchWork
public import Failures
internal import Foundation
internal import GeoRaster
public import LabelSuperResolution

/// η and ρ of coarse classes (paper Table 4): from rasters that show the labels of single pixels, or from descriptions.
public struct LandCoverPriors {
    private let coarse: LandClasses
    private let labels: LandClasses
    /// Sums of each class over its cells: cells, shares of each label and their squares.
    private var cells: [Int]
    private var sums: [[Double]]
    private var squares: [[Double]]
    /// Values of the coarse rasters that no class has, and how many cells have them.
    public private(set) var unknownValues: [Float: Int] = [:]

    public init(coarse: LandClasses, labels: LandClasses) {
        self.coarse = coarse
        self.labels = labels
        cells = [Int](repeating: 0, count: coarse.count)
        sums = [[Double]](repeating: [Double](repeating: 0, count: labels.count), count: coarse.count)
        squares = sums
    }

    /// Cells of each class so far.
    public var cellsPerClass: [Int] { cells }

    /// Adds the cells of a coarse raster on the grid of a fine one.
    ///
    /// A cell's shares are those of its pixels with a label; cells of which less than half has one are left out.
    public mutating func add(_ found: CoarseCells) throws {
        let (fine, lookup) = (found.image, labels.lookup)
        try found.addUp([Int](repeating: 0, count: labels.count)) { strip in
            let values = try fine.values(band: 0, in: strip)
            // Pixels without a label, as those of no data, count for nothing.
            return { counts, pixel in
                guard fine.isData(values[pixel], band: 0), let label = lookup[values[pixel]] else { return }
                counts[label] += 1
            }
        } merge: { counts, others in
            for label in counts.indices { counts[label] += others[label] }
        } done: { value, known, counts in
            let total = counts.reduce(0, +)
            guard total >= found.leastCellPixels else { return }
            guard let known else {
                unknownValues[value, default: 0] += 1
                return
            }
            cells[known] += 1
            for label in counts.indices {
                let share = Double(counts[label]) / Double(total)
                sums[known][label] += share
                squares[known][label] += share * share
            }
        }
    }

    /// Adds all pairs of two folders, by name.
    ///
    /// - Parameter side: of a coarse cell where the coarse rasters have the fine ones' pixels; see ``CoarseCells``.
    /// - Returns: the fine rasters that could not be used.
    public mutating func add(coarse folder: RasterFolder, fine: RasterFolder, side: Double? = nil) -> [FailedInput] {
        var failures: [FailedInput] = []
        for file in fine.files {
            let name = RasterFolder.stem(file)
            do {
                try add(
                    CoarseCells(
                        image: GeoRaster(file), coarse: GeoRaster(folder.partner(of: name)), classes: coarse,
                        side: side))
            } catch {
                failures.append(FailedInput(name: name, error: error))
            }
        }
        return failures
    }

    /// η and ρ, the means and standard deviations over each class's cells (divided by their number).
    ///
    /// - Parameter fallback: gives the classes that no cell has.
    /// - Throws: ``InputError`` where there is no cell at all.
    public func priors(fallback: LabelPriors? = nil) throws -> LabelPriors {
        guard cells.contains(where: { $0 > 0 }) else {
            throw InputError(
                .unusable,
                "no coarse cell has labelled pixels: the rasters do not overlap, or hold other codes than the tables")
        }
        var (means, deviations) = ([[Double]](), [[Double]]())
        for known in 0..<coarse.count {
            let n = Double(cells[known])
            guard n > 0 else {
                // Nothing is known of a class that no cell has.
                let even = 1 / Double(labels.count)
                means.append(fallback?.means[known] ?? [Double](repeating: even, count: labels.count))
                deviations.append(fallback?.deviations[known] ?? [Double](repeating: 0.5, count: labels.count))
                continue
            }
            let own = sums[known].map { $0 / n }
            // Rounding must not keep shares from being shares.
            let total = own.reduce(0, +)
            means.append(own.map { $0 / total })
            deviations.append(
                zip(squares[known], own).map { square, mean in max(0, square / n - mean * mean).squareRoot() })
        }
        var made = try LabelPriors(labels: labels.names, means: means, deviations: deviations, origin: "pairs")
        made.classes = coarse.names
        return made
    }
}

extension LandCoverPriors {
    /// What NLCD's own descriptions of its classes say of the four labels, as intervals (paper Table 3, Appendix F): any share in an
    /// interval is alike likely, so η is its middle and ρ its width/√12. Middles are scaled to sum to 1.
    public static func fromNLCDDescriptions() throws -> LabelPriors {
        // Water, forest, field, impervious; in per cent. What a description does not speak of is rare there: the middle of a wider
        // interval would put roads into every wood.
        let rare = 0.0...2.0
        let intervals: [Int: [ClosedRange<Double>]] = [
            11: [75...100, 0...12.5, 0...12.5, rare], 12: [rare, rare, 75...100, rare],
            21: [rare, 0...100, 0...100, 0...20], 22: [rare, 0...80, 0...80, 20...49],
            23: [rare, 0...50, 0...50, 50...79], 24: [rare, 0...20, 0...20, 80...100],
            31: [rare, 0...15, 0...100, 0...100], 41: [rare, 75...100, 0...25, rare],
            42: [rare, 75...100, 0...25, rare], 43: [rare, 75...100, 0...25, rare],
            51: [rare, 20...100, 0...80, rare], 52: [rare, 20...100, 0...80, rare],
            71: [rare, 0...20, 80...100, rare], 72: [rare, 0...20, 80...100, rare],
            73: [rare, 0...20, 80...100, rare], 74: [rare, 0...20, 80...100, rare],
            81: [rare, 0...20, 80...100, rare], 82: [rare, 0...20, 80...100, rare],
            90: [0...20, 20...100, 0...80, rare], 95: [0...20, 0...20, 80...100, rare],
        ]
        var (means, deviations) = ([[Double]](), [[Double]]())
        for code in LandClasses.nlcd.codes {
            let own = intervals[code.value] ?? [0...100, 0...100, 0...100, 0...100]
            let middles = own.map { ($0.lowerBound + $0.upperBound) / 200 }
            let total = middles.reduce(0, +)
            means.append(middles.map { $0 / total })
            deviations.append(own.map { ($0.upperBound - $0.lowerBound) / 100 / 12.0.squareRoot() })
        }
        var made = try LabelPriors(
            labels: LandClasses.fourLabels.names, means: means, deviations: deviations, origin: "descriptions of NLCD")
        made.classes = LandClasses.nlcd.names
        return made
    }

    /// The paper's Table 4: measured in Maryland.
    public static func table4() throws -> LabelPriors {
        let rows: [(code: Int, means: [Double], deviations: [Double])] = [
            (11, [0.97, 0.01, 0.01, 0.02], [0.15, 0.06, 0.06, 0.13]),
            (12, [0.00, 0.00, 1.00, 0.00], [0.00, 0.00, 0.10, 0.00]),
            (21, [0.00, 0.42, 0.46, 0.11], [0.05, 0.34, 0.33, 0.13]),
            (22, [0.01, 0.31, 0.34, 0.35], [0.06, 0.24, 0.21, 0.18]),
            (23, [0.01, 0.14, 0.21, 0.63], [0.07, 0.17, 0.19, 0.22]),
            (24, [0.01, 0.03, 0.07, 0.89], [0.07, 0.07, 0.14, 0.17]),
            (31, [0.09, 0.13, 0.45, 0.32], [0.26, 0.26, 0.41, 0.40]),
            (41, [0.00, 0.92, 0.06, 0.01], [0.03, 0.19, 0.16, 0.07]),
            (42, [0.00, 0.94, 0.05, 0.01], [0.03, 0.18, 0.16, 0.05]),
            (43, [0.00, 0.92, 0.06, 0.02], [0.05, 0.18, 0.15, 0.06]),
            (51, [0.00, 0.50, 0.50, 0.00], [0.00, 0.10, 0.10, 0.00]),
            (52, [0.00, 0.71, 0.26, 0.03], [0.05, 0.35, 0.33, 0.09]),
            (71, [0.01, 0.38, 0.54, 0.07], [0.09, 0.40, 0.39, 0.18]),
            (72, [0.00, 0.50, 0.50, 0.00], [0.00, 0.10, 0.10, 0.00]),
            (73, [0.00, 0.00, 1.00, 0.00], [0.00, 0.00, 0.10, 0.00]),
            (74, [0.00, 0.00, 1.00, 0.00], [0.00, 0.00, 0.10, 0.00]),
            (81, [0.00, 0.11, 0.86, 0.03], [0.02, 0.21, 0.23, 0.09]),
            (82, [0.00, 0.11, 0.86, 0.03], [0.03, 0.22, 0.24, 0.09]),
            (90, [0.01, 0.90, 0.08, 0.00], [0.07, 0.22, 0.21, 0.03]),
            (95, [0.11, 0.07, 0.81, 0.01], [0.21, 0.22, 0.29, 0.05]),
        ]
        // The table is rounded, so that its rows sum to 1 only nearly.
        let means = rows.map { row in row.means.map { $0 / row.means.reduce(0, +) } }
        var made = try LabelPriors(
            labels: LandClasses.fourLabels.names, means: means, deviations: rows.map(\.deviations),
            origin: "Table 4 of the paper")
        made.classes = LandClasses.nlcd.names
        return made
    }
}
