/// What a reader is asked for: a tile, and what of its surroundings the network needs to see.
public struct RegionRequest: Hashable, Sendable {
    /// What the network sees: the tile, made up to its grid, and a halo.
    public let seen: PixelRegion
    /// The tile's own part.
    public let own: PixelRegion

    public init(seen: PixelRegion, own: PixelRegion) {
        self.seen = seen
        self.own = own
    }
}

/// An image as a network wants it, read rectangle by rectangle. Each application brings its own.
public protocol RegionReader: Sendable {
    /// What the application keeps of a tile's pixels beside what the network finds.
    associatedtype Detail: Sendable
    /// A failure that costs the tile alone; all others end the work.
    associatedtype Failure: Error

    /// Size of the image in working pixels.
    var width: Int { get }
    var height: Int { get }
    /// Input channels of the network.
    var channels: Int { get }

    /// The input of what the network sees, `CHW`, with the same filling wherever it lies beyond the image, and the detail of the
    /// tile's own part.
    ///
    /// A pixel's values must not depend on the rectangle in which it is read, or tiles show seams.
    func read(_ request: RegionRequest) throws(Failure) -> (values: [Float], detail: Detail)
}
