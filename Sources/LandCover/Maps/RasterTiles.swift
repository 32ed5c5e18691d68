public import Foundation
public import GeoRaster
internal import Raster

/// An image as a browser shows it: tiles of 256 px at levels that halve it until one tile holds it all, in its own projection.
public struct RasterTiles: Sendable {
    public static let side = 256

    public let image: GeoRaster
    /// The last one has the image's own pixels; level 0 is one tile.
    public let levels: Int
    private let stretch: BandStretch

    /// - Throws: ``GeoRasterError`` where the image cannot be read.
    public init(_ image: GeoRaster) throws {
        self.image = image
        var levels = 1
        while (max(image.width, image.height) - 1) >> (levels - 1) >= RasterTiles.side { levels += 1 }
        self.levels = levels
        stretch = try BandStretch(image)
    }

    /// What a tile covers, and how many of the image's pixels a side of its own is.
    private struct Frame {
        let window: GeoRaster.Window
        let scale: Int
        let width: Int
        let height: Int
        let column: Int
        let row: Int
    }

    private func frame(level: Int, column: Int, row: Int) -> Frame? {
        guard (0..<levels).contains(level), column >= 0, row >= 0 else { return nil }
        let scale = 1 << (levels - 1 - level)
        let side = RasterTiles.side
        let (columns, rows) = ((image.width + scale - 1) / scale, (image.height + scale - 1) / scale)
        guard column < (columns + side - 1) / side, row < (rows + side - 1) / side else { return nil }
        let (width, height) = (min(side, columns - column * side), min(side, rows - row * side))
        let (x, y) = (column * side * scale, row * side * scale)
        return Frame(
            window: GeoRaster.Window(
                column: x, row: y, width: min(width * scale, image.width - x),
                height: min(height * scale, image.height - y)),
            scale: scale, width: width, height: height, column: column * side, row: row * side)
    }

    /// A tile of the image as JPEG; smaller than the side at the right and lower edge.
    ///
    /// - Returns: nil where there is no such tile.
    public func photograph(level: Int, column: Int, row: Int) throws -> Data? {
        guard let frame = frame(level: level, column: column, row: row) else { return nil }
        return try JPEG.encoded(
            stretch.picture(of: image, window: frame.window, width: frame.width, height: frame.height), quality: 88,
            subsamplesChroma: false)
    }

    /// A tile of a raster of codes, of whatever projection and size, on the image's pixels, in the colours of its classes, as PNG;
    /// clear where it has no class.
    ///
    /// - Returns: nil where there is no such tile.
    public func painted(
        _ codes: GeoRaster, classes: LandClasses, level: Int, column: Int, row: Int
    ) throws -> Data? {
        guard let frame = frame(level: level, column: column, row: row) else { return nil }
        let values: [Float]
        if codes.hasPixels(of: image) {
            values = try RasterTiles.codes(codes, frame)
        } else {
            values = try codes.values(
                band: 0, on: GroundGrid(image).coarser(by: frame.scale),
                window: GeoRaster.Window(
                    column: frame.column, row: frame.row, width: frame.width, height: frame.height),
                mostRead: RasterTiles.mostRead)
        }
        let lookup = classes.lookup
        var pixels = [UInt8](repeating: 0, count: 4 * values.count)
        for (i, value) in values.enumerated() where !value.isNaN && codes.isData(value, band: 0) {
            guard let known = lookup[value] else { continue }
            for part in 0..<3 { pixels[4 * i + part] = classes.classes[known].color[part] }
            pixels[4 * i + 3] = 255
        }
        return try PNG.encoded(rgba: pixels, width: frame.width, height: frame.height)
    }

    /// The code in the middle of each of a tile's pixels. Overviews may hold means, which are no codes: they are asked only where the
    /// pixels themselves would be too many.
    private static func codes(_ raster: GeoRaster, _ frame: Frame) throws(GeoRasterError) -> [Float] {
        let window = frame.window
        guard window.width * window.height <= mostRead else {
            return try raster.values(band: 0, in: window, width: frame.width, height: frame.height)
        }
        let all = try raster.values(band: 0, in: window)
        return (0..<frame.width * frame.height).map { i in
            let column = min(window.width - 1, i % frame.width * frame.scale + frame.scale / 2)
            let row = min(window.height - 1, i / frame.width * frame.scale + frame.scale / 2)
            return all[row * window.width + column]
        }
    }

    /// Pixels that are read for a tile of codes.
    private static let mostRead = 1 << 22

    /// The value that a raster of codes has at a pixel of the image; nil where it has none.
    public func code(of codes: GeoRaster, column: Int, row: Int) throws -> Float? {
        let window = GeoRaster.Window(column: column, row: row, width: 1, height: 1)
        let value =
            try codes.hasPixels(of: image)
            ? codes.values(band: 0, in: window)[0] : codes.values(band: 0, on: image, window: window)[0]
        return value.isNaN || !codes.isData(value, band: 0) ? nil : value
    }
}
