/// An 8-bit RGB image, interleaved, row by row from the top left.
public struct RGBImage: Equatable, Sendable {
    public let width: Int
    public let height: Int
    /// `3 · width · height` bytes.
    public var pixels: [UInt8]

    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(pixels.count == 3 * width * height, "an RGB image has three bytes a pixel")
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// An image of one colour, white by default: the background of a slide.
    public init(width: Int, height: Int, filledWith color: (UInt8, UInt8, UInt8) = (255, 255, 255)) {
        var pixels = [UInt8](repeating: 255, count: 3 * width * height)
        if color != (255, 255, 255) {
            for i in 0..<(width * height) {
                (pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]) = color
            }
        }
        self.init(width: width, height: height, pixels: pixels)
    }

    /// The red, green and blue of the pixel in column `x` of row `y`.
    @inlinable public subscript(x: Int, y: Int) -> (UInt8, UInt8, UInt8) {
        get {
            let i = 3 * (y * width + x)
            return (pixels[i], pixels[i + 1], pixels[i + 2])
        }
        set {
            let i = 3 * (y * width + x)
            (pixels[i], pixels[i + 1], pixels[i + 2]) = newValue
        }
    }

    /// The part of `width` × `height` at (`x`, `y`); what lies outside the image is white.
    public func cropped(x: Int, y: Int, width: Int, height: Int) -> RGBImage {
        var part = RGBImage(width: width, height: height)
        part.paste(self, x: -x, y: -y)
        return part
    }

    /// Copies `image` with its top left corner at (`x`, `y`); what falls outside is left out.
    public mutating func paste(_ image: RGBImage, x: Int, y: Int) {
        let firstColumn = max(0, -x)
        let lastColumn = min(image.width, width - x)
        guard firstColumn < lastColumn else { return }
        for row in max(0, -y)..<max(max(0, -y), min(image.height, height - y)) {
            let source = 3 * (row * image.width + firstColumn)
            let target = 3 * ((row + y) * width + x + firstColumn)
            let count = 3 * (lastColumn - firstColumn)
            pixels.replaceSubrange(target..<(target + count), with: image.pixels[source..<(source + count)])
        }
    }
}

extension RGBImage {
    /// Each pixel as a square of `factor` pixels.
    public func enlarged(_ factor: Int) -> RGBImage {
        var result = RGBImage(width: width * factor, height: height * factor)
        for y in 0..<result.height {
            for x in 0..<result.width { result[x, y] = self[x / factor, y / factor] }
        }
        return result
    }
}
