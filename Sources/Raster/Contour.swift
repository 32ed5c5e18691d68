public import Failures

/// A closed line of vertices, the last joined to the first.
public struct Polygon: Equatable, Sendable {
    public struct Vertex: Equatable, Sendable {
        public var x: Double
        public var y: Double

        public init(x: Double, y: Double) {
            self.x = x
            self.y = y
        }
    }

    public var vertices: [Vertex]

    public init(vertices: [Vertex]) {
        self.vertices = vertices
    }

    /// The enclosed area, in the square of the vertices' unit.
    public var area: Double {
        abs(edges.reduce(0) { $0 + $1.0.x * $1.1.y - $1.1.x * $1.0.y }) / 2
    }

    /// The length of the line.
    public var perimeter: Double {
        edges.reduce(0) { sum, edge in
            let (dx, dy) = (edge.1.x - edge.0.x, edge.1.y - edge.0.y)
            return sum + (dx * dx + dy * dy).squareRoot()
        }
    }

    private var edges: Zip2Sequence<[Vertex], [Vertex]> {
        zip(vertices, Array(vertices.dropFirst()) + Array(vertices.prefix(1)))
    }

    /// The polygon moved and scaled: `vertex · scale + offset`.
    public func placed(scale: Double, offsetX: Double, offsetY: Double) -> Polygon {
        Polygon(vertices: vertices.map { Vertex(x: $0.x * scale + offsetX, y: $0.y * scale + offsetY) })
    }

    /// The outer ring of a polygon in well-known binary, as ``wellKnownBinary`` writes it.
    ///
    /// - Throws: ``RasterError`` where the bytes are cut off or no polygon.
    public init(wellKnownBinary bytes: [UInt8]) throws(RasterError) {
        func number(_ offset: Int) -> UInt64 {
            bytes[offset..<(offset + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard bytes.count >= 13, bytes[0] == 1, bytes[1...8].elementsEqual([3, 0, 0, 0, 1, 0, 0, 0]) else {
            throw RasterError(.mismatch, "an outline is no polygon in well-known binary")
        }
        let count = Int(bytes[9]) | Int(bytes[10]) << 8 | Int(bytes[11]) << 16 | Int(bytes[12]) << 24
        guard count >= 4, bytes.count == 13 + 16 * count else {
            throw RasterError(.mismatch, "an outline is cut off")
        }
        // The last vertex is the first again.
        vertices = (0..<(count - 1)).map {
            Vertex(
                x: Double(bitPattern: number(13 + 16 * $0)), y: Double(bitPattern: number(21 + 16 * $0)))
        }
    }

    /// Well-known binary, little-endian, one ring, closed as the format asks.
    public var wellKnownBinary: [UInt8] {
        var bytes: [UInt8] = [1]
        func put(_ value: UInt32) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        func put(_ value: Double) {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        }
        put(UInt32(3))
        put(UInt32(1))
        put(UInt32(vertices.count + 1))
        for vertex in vertices + Array(vertices.prefix(1)) {
            put(vertex.x)
            put(vertex.y)
        }
        return bytes
    }
}

extension Plane where Element == Bool {
    /// The outer outline of the component that holds the first set pixel of the plane, as a polygon through the middles
    /// of the pixel edges along the border; pixel (0, 0) covers the unit square from (0, 0) to (1, 1).
    ///
    /// The area is that of the filled component less half a pixel (each corner cut takes ⅛, each notch gives ⅛, and there
    /// are four more corners than notches), and the perimeter is that of a smooth outline rather than of a staircase.
    public func outline() -> Polygon? {
        guard let first = values.firstIndex(of: true) else { return nil }
        func isSet(_ x: Int, _ y: Int) -> Bool {
            x >= 0 && y >= 0 && x < width && y < height && self[x, y]
        }
        // Walk the cracks between pixels with the component on the right. Directions: east, south, west, north.
        let steps = [(1, 0), (0, 1), (-1, 0), (0, -1)]
        let start = (x: first % width, y: first / width)
        var (x, y) = (start.x, start.y)
        var direction = 0
        var vertices: [Polygon.Vertex] = []
        repeat {
            let (dx, dy) = steps[direction]
            vertices.append(Polygon.Vertex(x: Double(x) + Double(dx) / 2, y: Double(y) + Double(dy) / 2))
            x += dx
            y += dy
            // The pixels ahead of the crack's end: left and right of the walking direction.
            let (left, right) =
                switch direction {
                case 0: (isSet(x, y - 1), isSet(x, y))
                case 1: (isSet(x, y), isSet(x - 1, y))
                case 2: (isSet(x - 1, y), isSet(x - 1, y - 1))
                default: (isSet(x - 1, y - 1), isSet(x, y - 1))
                }
            // 4-connected: at a diagonal contact stay with this component, which is on the right.
            if !right {
                direction = (direction + 1) % 4
            } else if left {
                direction = (direction + 3) % 4
            }
        } while x != start.x || y != start.y || direction != 0
        return Polygon(vertices: vertices).withoutStraightVertices()
    }
}

extension Polygon {
    /// The same line without the vertices in the middle of straight stretches.
    func withoutStraightVertices() -> Polygon {
        guard vertices.count > 4 else { return self }
        let n = vertices.count
        let kept = (0..<n).filter { i in
            let (a, b, c) = (vertices[(i + n - 1) % n], vertices[i], vertices[(i + 1) % n])
            return abs((b.x - a.x) * (c.y - b.y) - (b.y - a.y) * (c.x - b.x)) > 1e-9
        }
        return Polygon(vertices: kept.map { vertices[$0] })
    }
}
