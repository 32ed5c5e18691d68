public import Foundation

/// Where on an image a network is asked, and where that is what it is asked about (tissue, on a slide), as squares of its pixels.
///
/// The squares are those of the smallest tile, so that results do not depend on how large tiles are.
public struct Ground: Equatable, Sendable {
    /// The side of a square, working pixels; the first begins at the slide's corner.
    public let side: Int
    /// Squares that hold tissue.
    public let tissue: Plane<Bool>
    /// Squares in which the network is asked: those with tissue, and what is around them.
    public let looked: Plane<Bool>
    /// Whether the tissue was found by itself: what lies beyond it is glass then, and elsewhere it is not known.
    public let isFound: Bool

    /// The side of a square: every tile's side is a multiple of it, and so are the pooling grids of all networks.
    public static let standardSide = 64

    public init(side: Int, tissue: Plane<Bool>, looked: Plane<Bool>, isFound: Bool) {
        precondition(tissue.width == looked.width && tissue.height == looked.height, "both have the same squares")
        self.side = side
        self.tissue = tissue
        self.looked = looked
        self.isFound = isFound
    }

    /// Whether any square that meets a rectangle of working pixels is looked at.
    public func isLooked(columns: Range<Int>, rows: Range<Int>) -> Bool {
        squares(rows, looked.height).contains { row in
            squares(columns, looked.width).contains { looked[$0, row] }
        }
    }

    private func squares(_ pixels: Range<Int>, _ limit: Int) -> Range<Int> {
        let first = max(0, min(limit, pixels.lowerBound / side))
        return first..<max(first, min(limit, (pixels.upperBound + side - 1) / side))
    }

    /// The working pixels of a row that are looked at, within some columns, from left to right.
    public func spans(row: Int, columns: Range<Int>) -> [Range<Int>] {
        guard (0..<looked.height).contains(row / side) else { return [] }
        var spans: [Range<Int>] = []
        for square in squares(columns, looked.width) where looked[square, row / side] {
            let span = (square * side..<(square + 1) * side).clamped(to: columns)
            if let last = spans.last, last.upperBound == span.lowerBound {
                spans[spans.count - 1] = last.lowerBound..<span.upperBound
            } else {
                spans.append(span)
            }
        }
        return spans
    }

    /// Whether a working pixel lies in a square with tissue.
    public func isTissue(x: Int, y: Int) -> Bool {
        guard x >= 0, y >= 0, x / side < tissue.width, y / side < tissue.height else { return false }
        return tissue[x / side, y / side]
    }

    /// The squares as bytes, row by row: bit 0 tissue, bit 1 looked at.
    public var data: Data {
        Data(zip(tissue.values, looked.values).map { ($0 ? 1 : 0) | ($1 ? 2 : 0) })
    }

    /// Reads ``data`` again; nil where it has another length.
    public init?(data: Data, side: Int, columns: Int, rows: Int, isFound: Bool) {
        guard side > 0, (1...(1 << 20)).contains(columns), (1...(1 << 20)).contains(rows), data.count == columns * rows
        else { return nil }
        self.init(
            side: side, tissue: Plane(width: columns, height: rows, values: data.map { $0 & 1 != 0 }),
            looked: Plane(width: columns, height: rows, values: data.map { $0 & 2 != 0 }), isFound: isFound)
    }
}
