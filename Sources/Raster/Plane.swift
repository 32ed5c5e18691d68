/// One value a pixel, row by row from the top left.
public struct Plane<Element: Sendable>: Sendable {
    public let width: Int
    public let height: Int
    public var values: [Element]

    @inlinable public init(width: Int, height: Int, values: [Element]) {
        precondition(values.count == width * height, "a plane has one value a pixel")
        self.width = width
        self.height = height
        self.values = values
    }

    @inlinable public init(width: Int, height: Int, repeating value: Element) {
        self.init(width: width, height: height, values: [Element](repeating: value, count: width * height))
    }

    /// The value in column `x` of row `y`.
    @inlinable public subscript(x: Int, y: Int) -> Element {
        get { values[y * width + x] }
        set { values[y * width + x] = newValue }
    }

    /// The part of `width` × `height` whose top left corner is at (`x`, `y`), which must lie inside.
    @inlinable public func cropped(x: Int, y: Int, width: Int, height: Int) -> Plane {
        var part: [Element] = []
        part.reserveCapacity(width * height)
        for row in y..<(y + height) {
            part.append(contentsOf: values[(row * self.width + x)..<(row * self.width + x + width)])
        }
        return Plane(width: width, height: height, values: part)
    }

    @inlinable public func map<Other: Sendable>(_ transform: (Element) throws -> Other) rethrows -> Plane<Other> {
        Plane<Other>(width: width, height: height, values: try values.map(transform))
    }
}

extension Plane: Equatable where Element: Equatable {}
