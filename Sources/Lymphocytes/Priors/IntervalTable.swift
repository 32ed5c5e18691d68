internal import BatchWork
internal import Failures
public import Foundation
public import LabelSuperResolution
internal import WholeSlide
internal import Tables

/// Descriptions of the coarse classes: `class,low,high`, the shares of lymphocyte pixels between which a region of the
/// class is said to lie.
public enum IntervalTable {
    /// Reads the table and makes priors of it.
    ///
    /// - Throws: where a class is missing or named twice, or an interval is none.
    public static func priors(_ url: URL, classes: ProbabilityClasses = ProbabilityClasses()) throws -> LabelPriors {
        var intervals = [ClosedRange<Double>?](repeating: nil, count: classes.count)
        try CSVTable.read(url, requiring: ["class", "low", "high"]) { row in
            let known = try row.number("class")
            guard known == known.rounded(), known >= 0, known < Double(classes.count) else {
                throw InputError(
                    .unusable, "\(url.path) line \(row.line): class \(known) is not one of 0 … \(classes.count - 1)")
            }
            let (low, high) = (try row.number("low"), try row.number("high"))
            guard low >= 0, low <= high, high <= 1 else {
                throw InputError(
                    .unusable,
                    "\(url.path) line \(row.line): \(low) to \(high) is no interval of shares between 0 and 1")
            }
            guard intervals[Int(known)] == nil else {
                throw InputError(.unusable, "\(url.path) line \(row.line): class \(Int(known)) is described twice")
            }
            intervals[Int(known)] = low...high
        }
        let missing = intervals.indices.filter { intervals[$0] == nil }
        guard missing.isEmpty else {
            throw InputError(
                .unusable, "\(url.path) does not describe class \(missing.map(String.init).joined(separator: ", "))")
        }
        return try LabelPriors.fromIntervals(intervals.compactMap { $0 }, label: "lymphocyte")
    }
}
