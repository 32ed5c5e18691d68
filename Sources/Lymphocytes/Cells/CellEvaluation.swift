internal import BatchWork
internal import Failures
public import Foundation
public import ResultStore
internal import WholeSlide
internal import Tables

/// Found cells against true ones: each true cell is matched with at most one found cell, nearest pairs first.
public struct CellEvaluation: Sendable {
    /// A place on a slide, level-0 px.
    public typealias Point = (x: Double, y: Double)

    /// Reads a table of true cells (slide, x, y, type), and keeps those of the given types.
    ///
    /// - Parameter others: gets the types that are not wanted, with their numbers.
    /// - Returns: the places by slide; a slide of which no cell is of these types has none.
    /// - Throws: where the table is malformed, a type is missing, or none is wanted.
    public static func readTruth(
        _ url: URL, types: Set<String>, others: (_ counts: [String: Int]) -> Void = { _ in }
    ) throws -> [String: [Point]] {
        var truth: [String: [Point]] = [:]
        var counts: [String: Int] = [:]
        try CSVTable.read(url, requiring: ["slide", "x", "y", "type"]) { row in
            let slide = try row.text("slide").precomposedStringWithCanonicalMapping
            let point = (x: try row.number("x"), y: try row.number("y"))
            guard abs(point.x) < 1e8, abs(point.y) < 1e8 else {
                throw InputError(
                    .unusable, "\(url.path) line \(row.line): (\(point.x), \(point.y)) is no place on a slide")
            }
            let type = try row.text("type").trimmingCharacters(in: .whitespaces)
            guard !type.isEmpty else {
                throw InputError(.unusable, "\(url.path) line \(row.line): the type is missing")
            }
            let isTrue = types.contains(type.lowercased())
            if !isTrue, counts.count < 1000 || counts[type] != nil { counts[type, default: 0] += 1 }
            truth[slide, default: []] += isTrue ? [point] : []
        }
        guard truth.values.contains(where: { !$0.isEmpty }) else {
            throw InputError(
                .unusable,
                "\(url.path) has no cell of type \(types.sorted().joined(separator: ", ")): name the types with --types"
            )
        }
        others(counts)
        return truth
    }

    /// Compares the cells found on one slide with the true ones.
    ///
    /// - Parameters:
    ///   - distance: two cells farther apart than this, in level-0 px, are not the same.
    public static func compare(
        found: [Point], truth: [Point], distance: Double, withinMicrons: Double, source: String
    ) -> CellEvaluationRecord {
        let matched = matches(found, truth, distance: distance)
        let precision = found.isEmpty ? 0 : Double(matched) / Double(found.count)
        let recall = truth.isEmpty ? 0 : Double(matched) / Double(truth.count)
        return CellEvaluationRecord(
            truth: source, withinMicrons: withinMicrons, trueCells: truth.count, foundCells: found.count,
            matched: matched,
            precision: precision, recall: recall,
            f1: found.count + truth.count == 0 ? 0 : 2 * Double(matched) / Double(found.count + truth.count))
    }

    static func matches(_ found: [Point], _ truth: [Point], distance: Double) -> Int {
        struct Cell: Hashable {
            let column: Int
            let row: Int
        }
        // A grid of squares as wide as the distance: pairs lie in the same or in neighbouring squares.
        func cell(_ point: Point) -> Cell {
            Cell(column: Int((point.x / distance).rounded(.down)), row: Int((point.y / distance).rounded(.down)))
        }
        let byCell = Dictionary(grouping: truth.indices) { cell(truth[$0]) }
        var pairs: [(square: Double, found: Int, truth: Int)] = []
        for (index, point) in found.enumerated() {
            let own = cell(point)
            for row in (own.row - 1)...(own.row + 1) {
                for column in (own.column - 1)...(own.column + 1) {
                    for other in byCell[Cell(column: column, row: row)] ?? [] {
                        let (dx, dy) = (truth[other].x - point.x, truth[other].y - point.y)
                        let square = dx * dx + dy * dy
                        if square <= distance * distance { pairs.append((square, index, other)) }
                    }
                }
            }
        }
        pairs.sort { ($0.square, $0.found, $0.truth) < ($1.square, $1.found, $1.truth) }
        var usedFound = Set<Int>()
        var usedTruth = Set<Int>()
        for pair in pairs where !usedFound.contains(pair.found) && !usedTruth.contains(pair.truth) {
            usedFound.insert(pair.found)
            usedTruth.insert(pair.truth)
        }
        return usedFound.count
    }
}
