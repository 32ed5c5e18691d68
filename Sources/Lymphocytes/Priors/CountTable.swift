internal import BatchWork
internal import Failures
public import Foundation
public import LabelSuperResolution
public import ResultStore
internal import WholeSlide
internal import Tables

/// The counts of lymphocytes in sampled regions: `class,slide,x,y,lymphocytes`.
public enum CountTable {
    /// Of a lymphocyte's nucleus, µm; that is 154 px at 0.5 µm.
    public static let nucleusDiameter = 7.0
    /// Pixels of a region at the working scale.
    public static let regionPixels = 10_000.0

    /// Reads a filled-in table and makes priors of it.
    ///
    /// - Throws: where a count is missing or no count, or a class was not counted at all.
    public static func priors(
        _ url: URL, nucleusDiameter: Double = CountTable.nucleusDiameter,
        classes: ProbabilityClasses = ProbabilityClasses()
    ) throws -> LabelPriors {
        var counts = [[Double]](repeating: [], count: classes.count)
        try CSVTable.read(url, requiring: ["class", "lymphocytes"]) { row in
            let known = try row.number("class")
            guard known == known.rounded(), known >= 0, known < Double(classes.count) else {
                throw InputError(
                    .unusable, "\(url.path) line \(row.line): class \(known) is not one of 0 … \(classes.count - 1)")
            }
            guard try !row.isBlank("lymphocytes") else {
                throw InputError(
                    .unusable,
                    "\(url.path) line \(row.line): 'lymphocytes' is empty: count them on the contact sheet and fill it in"
                )
            }
            let count = try row.number("lymphocytes")
            guard count >= 0, count <= regionPixels else {
                throw InputError(.unusable, "\(url.path) line \(row.line): \(count) is no count of lymphocytes")
            }
            counts[Int(known)].append(count)
        }
        return try priors(counts, from: url.path, nucleusDiameter: nucleusDiameter)
    }

    /// Priors from the squares that were counted on the service's page, as far as they are regions of a class.
    ///
    /// - Throws: where a class was not counted at all.
    public static func priors(
        of readings: [SquareReadingRecord], from source: String, nucleusDiameter: Double = CountTable.nucleusDiameter,
        classes: ProbabilityClasses = ProbabilityClasses()
    ) throws -> LabelPriors {
        try priors(byClass(readings, classes: classes), from: source, nucleusDiameter: nucleusDiameter)
    }

    /// The counts of each class, each region once, with the mean of its readers' counts.
    public static func byClass(
        _ readings: [SquareReadingRecord], classes: ProbabilityClasses = ProbabilityClasses()
    ) -> [[Double]] {
        var counts = [[Double]](repeating: [], count: classes.count)
        let counted = readings.filter { $0.square.coarseClass.map(counts.indices.contains) ?? false }
        for known in counts.indices {
            let squares = counted.filter { $0.square.coarseClass == known }.compactMap(CountedSquare.init)
            counts[known] = SquareReadings.grouped(squares).map(\.mean)
        }
        return counts
    }

    /// The mean share of lymphocyte pixels of each class as far as it has been counted; 0 where it has not.
    public static func partialMeans(
        _ counts: [[Double]], nucleusDiameter: Double = CountTable.nucleusDiameter
    ) -> [Double] {
        let radius = nucleusDiameter / 2 / LymphocyteTraining.micronsPerPixel
        return counts.map { values in
            values.reduce(0, +) / Double(max(1, values.count)) * .pi * radius * radius / regionPixels
        }
    }

    private static func priors(
        _ counts: [[Double]], from source: String, nucleusDiameter: Double
    ) throws -> LabelPriors {
        let missing = counts.indices.filter { counts[$0].isEmpty }
        guard missing.isEmpty else {
            throw InputError(
                .unusable,
                "\(source) has no counted region of class \(missing.map(String.init).joined(separator: ", ")): every class needs some"
            )
        }
        let radius = nucleusDiameter / 2 / LymphocyteTraining.micronsPerPixel
        return try LabelPriors.fromCounts(
            counts, label: "lymphocyte", objectPixels: .pi * radius * radius, blockPixels: regionPixels)
    }
}
