internal import BatchWork
internal import Failures
public import Foundation
internal import Raster
public import ResultStore
internal import WholeSlide
internal import Tables

/// Tables of counted squares: `slide,x,y,lymphocytes[,side_um,reader]`, or the squares that were counted on the service's page.
public enum SquareTable {
    /// The most lymphocytes that a square may hold: packed, they are about one in 40 µm².
    private static let mostPerSquareMicron = 0.1

    /// Sides that a square may have, µm: from a few cells to a field of view.
    public static let possibleSides = 20.0...200.0

    /// Reads a table, or the results file that the service writes.
    ///
    /// - Throws: ``InputError`` or ``SlideError`` with file and line where a row is malformed, a count is missing, or there is none.
    ///
    /// - Parameter blanks: gets how many rows have no count yet; they are left out.
    public static func read(_ url: URL, blanks: (Int) -> Void = { _ in }) throws -> [CountedSquare] {
        if ResultStore.isDatabase(url) {
            let counted = try ResultStore(readOnly: url).squareReadings().compactMap(CountedSquare.init)
            guard !counted.isEmpty else {
                throw InputError(.unusable, "no square has been counted in \(url.path) yet")
            }
            return counted
        }
        var squares: [CountedSquare] = []
        var open = 0
        try CSVTable.read(url, requiring: ["slide", "x", "y", "lymphocytes"]) { row in
            func refused(_ what: String) -> InputError {
                InputError(.unusable, "\(url.path) line \(row.line): \(what)")
            }
            let slide = try row.text("slide").trimmingCharacters(in: .whitespaces)
            guard !slide.isEmpty else { throw refused("the slide's name is missing") }
            guard try !row.isBlank("lymphocytes") else {
                open += 1
                return
            }
            var side = CountedSquare.standardSide
            if row.has("side_um"), try !row.isBlank("side_um") { side = try row.number("side_um") }
            guard possibleSides.contains(side) else {
                throw refused(
                    "side_um \(side) is not possible: between \(Int(possibleSides.lowerBound)) and \(Int(possibleSides.upperBound)) µm"
                )
            }
            let (x, y) = (try row.number("x"), try row.number("y"))
            guard abs(x) < 1e8, abs(y) < 1e8 else { throw refused("(\(x), \(y)) is no place on a slide") }
            let count = try row.number("lymphocytes")
            guard count >= 0, count <= side * side * mostPerSquareMicron else {
                throw refused("\(count) is no count of lymphocytes in \(side) × \(side) µm")
            }
            let reader = row.has("reader") ? try row.text("reader").trimmingCharacters(in: .whitespaces) : ""
            squares.append(
                CountedSquare(
                    slide: slide.precomposedStringWithCanonicalMapping, level0X: x, level0Y: y, sideMicrons: side,
                    lymphocytes: count, reader: reader))
        }
        guard !squares.isEmpty else {
            throw InputError(
                .unusable,
                "\(url.path) has no counted square"
                    + (open > 0 ? ": fill in the column 'lymphocytes', 0 where there are none" : ""))
        }
        if open > 0 { blanks(open) }
        return squares
    }

    /// The table that ``read(_:)`` reads.
    public static func text(_ squares: [CountedSquare]) -> String {
        (["slide,x,y,lymphocytes,side_um,reader\n"]
            + squares.map {
                TableText.line([
                    $0.slide, number($0.level0X), number($0.level0Y), number($0.lymphocytes), number($0.sideMicrons),
                    $0.reader,
                ])
            }).joined()
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }
}

extension CountedSquare {
    /// A reader's count; nil where it is none yet, or the square was skipped.
    public init?(_ reading: SquareReadingRecord) {
        guard reading.status == .counted else { return nil }
        self.init(
            slide: reading.square.slide, level0X: reading.square.level0X, level0Y: reading.square.level0Y,
            sideMicrons: reading.square.sideMicrons, lymphocytes: Double(reading.points.count), reader: reading.reader)
    }
}
