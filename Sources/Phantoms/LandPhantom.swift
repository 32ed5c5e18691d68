public import Foundation
internal import GeoRaster
internal import LabelSuperResolution

/// Writes synthetic land: aerial images of four bands at 1 m with the true label of every pixel, and 30 m classes in another
/// projection, as NLCD has them.
///
/// In the folder: `images/land-N.tif` (red, green, blue, near infrared; UTM), `fine/land-N.tif` (1 water, 2 forest, 3 field, 4
/// impervious; the same pixels) and `coarse/land-N.tif` (NLCD's codes; Albers).
public struct LandPhantom: Sendable {
    public let folder: URL
    public let images: Int
    /// The side of each image, px.
    public let size: Int
    public let seed: UInt64

    public init(folder: URL, images: Int, size: Int, seed: UInt64) {
        self.folder = folder
        self.images = images
        self.size = size
        self.seed = seed
    }

    /// - Parameter progress: called with an image's number once it is written.
    public func write(progress: (Int) -> Void = { _ in }) throws {
        let writer = try LandSceneWriter(folder: folder)
        for number in 1...images {
            try writer.write(
                DrawnLand(seed: SeededGenerator.draw(seed: seed, stream: UInt64(number))), name: "land-\(number)",
                place: number - 1, width: size, height: size)
            progress(number)
        }
    }
}
