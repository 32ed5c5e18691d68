/// A rectangle of an image's pixels at the scale of the network ("working pixels"): x right, y down, origin at the image's top
/// left corner. It may reach beyond the image.
public struct PixelRegion: Hashable, Sendable {
    public let x: Int
    public let y: Int
    public let width: Int
    public let height: Int

    public init(x: Int, y: Int, width: Int, height: Int) {
        self.x = x
        self.y = y
        self.width = width
        self.height = height
    }

    public var columns: Range<Int> { x..<(x + width) }
    public var rows: Range<Int> { y..<(y + height) }

    /// The region with a halo around it, its sides first made up to multiples of a network's grid, to the right and below.
    public func surrounded(by halo: Int, multiple: Int) -> PixelRegion {
        PixelRegion(
            x: x - halo, y: y - halo, width: (width + multiple - 1) / multiple * multiple + 2 * halo,
            height: (height + multiple - 1) / multiple * multiple + 2 * halo)
    }
}
