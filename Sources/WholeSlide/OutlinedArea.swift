internal import Foundation

/// The inside of polygons with holes, in level-0 pixels: what is in it, and how large it is, to the outline itself.
///
/// A point is inside where it is inside any of the polygons; polygons that overlap count once.
struct OutlinedArea: Sendable {
    struct Point: Equatable, Sendable {
        let x: Double
        let y: Double
    }

    /// An edge of a ring that is not level.
    private struct Edge {
        let polygon: Int32
        let top: Point
        let bottom: Point
    }

    /// The slide's rows are cut into strips; each knows the edges that cross it.
    private let strips: [[Int32]]
    private let edges: [Edge]
    /// Level-0 px.
    let width: Int
    let height: Int

    private static let stripRows = 64

    /// - Parameters:
    ///   - polygons: rings of each polygon; by even and odd, rings within rings are holes.
    ///   - width: of the slide, beyond which nothing counts.
    init(_ polygons: [[[Point]]], width: Int, height: Int) {
        self.width = width
        self.height = height
        var edges: [Edge] = []
        for (index, polygon) in polygons.enumerated() {
            for ring in polygon where ring.count >= 3 {
                for (a, b) in zip(ring, ring.dropFirst() + [ring[0]]) where a.y != b.y {
                    edges.append(
                        a.y < b.y
                            ? Edge(polygon: Int32(index), top: a, bottom: b)
                            : Edge(polygon: Int32(index), top: b, bottom: a))
                }
            }
        }
        self.edges = edges
        let rows = OutlinedArea.stripRows
        var strips = [[Int32]](repeating: [], count: (height + rows - 1) / rows)
        for (index, edge) in edges.enumerated() where edge.bottom.y > 0 && edge.top.y < Double(height) {
            let first = Int(max(0, edge.top.y)) / rows
            let last = Int(min(Double(height) - 1e-9, edge.bottom.y)) / rows
            for strip in first...max(first, last) { strips[strip].append(Int32(index)) }
        }
        self.strips = strips
    }

    /// The whole slide.
    init(width: Int, height: Int) {
        let (right, bottom) = (Double(width), Double(height))
        self.init(
            [[[Point(x: 0, y: 0), Point(x: right, y: 0), Point(x: right, y: bottom), Point(x: 0, y: bottom)]]],
            width: width, height: height)
    }

    /// Whether a point is inside; on the slide's own edge it is not.
    func contains(x: Double, y: Double) -> Bool {
        guard x >= 0, y >= 0, x < Double(width), y < Double(height) else { return false }
        return inside(y).contains { $0.contains(x) }
    }

    /// The parts of a row that are inside, from left to right, cut to the slide; level-0 px.
    private func inside(_ y: Double) -> [Range<Double>] {
        var crossings: [(polygon: Int32, x: Double)] = []
        for index in strips[Int(y) / OutlinedArea.stripRows] {
            let edge = edges[Int(index)]
            guard edge.top.y <= y, y < edge.bottom.y else { continue }
            let share = (y - edge.top.y) / (edge.bottom.y - edge.top.y)
            crossings.append((edge.polygon, edge.top.x + share * (edge.bottom.x - edge.top.x)))
        }
        guard !crossings.isEmpty else { return [] }
        crossings.sort { ($0.polygon, $0.x) < ($1.polygon, $1.x) }
        var spans: [Range<Double>] = []
        var position = 0
        while position + 1 < crossings.count {
            guard crossings[position].polygon == crossings[position + 1].polygon else {
                position += 1
                continue
            }
            let left = max(0, crossings[position].x)
            let right = min(Double(width), crossings[position + 1].x)
            if left < right { spans.append(left..<right) }
            position += 2
        }
        guard spans.count > 1 else { return spans }
        spans.sort { $0.lowerBound < $1.lowerBound }
        var joined: [Range<Double>] = []
        for span in spans {
            if let last = joined.last, span.lowerBound <= last.upperBound {
                joined[joined.count - 1] = last.lowerBound..<max(last.upperBound, span.upperBound)
            } else {
                joined.append(span)
            }
        }
        return joined
    }

    /// The area in a rectangle, level-0 px². Each row counts by its middle, exactly across.
    func area(x: Double, y: Double, width: Double, height: Double) -> Double {
        let (top, bottom) = (max(0, y), min(Double(self.height), y + height))
        guard top < bottom else { return 0 }
        var sum = 0.0
        var row = top
        while row < bottom {
            // Rows end at whole pixels and at the rectangle's own edges, so that rectangles side by side share none.
            let end = min(bottom, row.rounded(.down) + 1)
            for span in inside((row + end) / 2) {
                sum += max(0, min(x + width, span.upperBound) - max(x, span.lowerBound)) * (end - row)
            }
            row = end
        }
        return sum
    }

    /// The area of each square of a row of squares that are `side` wide, the first at 0; level-0 px². One pass over the rows.
    func areas(ofSquaresAtRow y: Double, height: Double, side: Double, count: Int) -> [Double] {
        var areas = [Double](repeating: 0, count: count)
        var row = max(0, y)
        let bottom = min(Double(self.height), y + height)
        while row < bottom {
            let end = min(bottom, row.rounded(.down) + 1)
            for span in inside((row + end) / 2) {
                let first = max(0, min(count - 1, Int(span.lowerBound / side)))
                let last = max(first, min(count - 1, Int(span.upperBound / side)))
                for square in first...last {
                    let (left, right) = (Double(square) * side, Double(square + 1) * side)
                    areas[square] += max(0, min(right, span.upperBound) - max(left, span.lowerBound)) * (end - row)
                }
            }
            row = end
        }
        return areas
    }
}
