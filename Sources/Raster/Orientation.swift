/// One of the eight ways to lay a square image down.
public struct Orientation: Hashable, Sendable {
    /// Quarter turns clockwise, 0 to 3, made after the flip.
    public let quarterTurns: Int
    public let isFlipped: Bool

    public init(quarterTurns: Int, isFlipped: Bool) {
        self.quarterTurns = ((quarterTurns % 4) + 4) % 4
        self.isFlipped = isFlipped
    }

    public static let all: [Orientation] = (0..<8).map { Orientation(quarterTurns: $0 / 2, isFlipped: $0 % 2 == 1) }

    /// Where the pixel (`x`, `y`) of an image of the given size comes to lie.
    @inlinable public func moved(x: Int, y: Int, width: Int, height: Int) -> (x: Int, y: Int) {
        let column = isFlipped ? width - 1 - x : x
        return switch quarterTurns {
        case 1: (height - 1 - y, column)
        case 2: (width - 1 - column, height - 1 - y)
        case 3: (y, width - 1 - column)
        default: (column, y)
        }
    }
}

extension Plane {
    /// The plane laid down in another orientation.
    ///
    /// Inlinable, as what else touches each pixel of a plane: other modules make it for their own elements, where the general one
    /// would ask for the element's type at every pixel.
    @inlinable public func turned(_ orientation: Orientation) -> Plane {
        var result = Plane(
            width: orientation.quarterTurns % 2 == 0 ? width : height,
            height: orientation.quarterTurns % 2 == 0 ? height : width, values: values)
        for y in 0..<height {
            for x in 0..<width {
                let target = orientation.moved(x: x, y: y, width: width, height: height)
                result[target.x, target.y] = self[x, y]
            }
        }
        return result
    }
}

extension RGBImage {
    /// The image laid down in another orientation.
    public func turned(_ orientation: Orientation) -> RGBImage {
        var result = RGBImage(
            width: orientation.quarterTurns % 2 == 0 ? width : height,
            height: orientation.quarterTurns % 2 == 0 ? height : width)
        for y in 0..<height {
            for x in 0..<width {
                let target = orientation.moved(x: x, y: y, width: width, height: height)
                result[target.x, target.y] = self[x, y]
            }
        }
        return result
    }
}
