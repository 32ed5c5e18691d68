public import Failures
internal import Foundation
public import Raster

/// A slide as a DeepZoom pyramid: every level half the one above it, down to one pixel, in square tiles.
///
/// Levels, tile counts and tile sizes are those of openslide-python's `DeepZoomGenerator` with the same tile size and overlap,
/// so that viewers made for it (OpenSeadragon, Leaflet) work with ours.
public struct DeepZoom: Sendable {
    public let slide: Slide
    /// The side of a tile without its overlap.
    public let tileSize: Int
    /// Pixels that a tile shares with each neighbour.
    public let overlap: Int
    /// Sizes from one pixel (level 0) to the slide's own (the last).
    public let levels: [(width: Int, height: Int)]

    /// Pixels that are read at once where a slide has no level near the wanted one.
    private static let mostPixels = 1 << 24

    public init(_ slide: Slide, tileSize: Int = 256, overlap: Int = 0) {
        self.slide = slide
        self.tileSize = tileSize
        self.overlap = overlap
        var sizes = [(width: slide.width, height: slide.height)]
        while let last = sizes.last, last.width > 1 || last.height > 1 {
            sizes.append(((last.width + 1) / 2, (last.height + 1) / 2))
        }
        levels = sizes.reversed()
    }

    /// Tiles of a level across and down.
    public func tileCount(level: Int) -> (columns: Int, rows: Int) {
        let size = levels[level]
        return ((size.width + tileSize - 1) / tileSize, (size.height + tileSize - 1) / tileSize)
    }

    /// Level-0 pixels per pixel of a level.
    public func downsample(level: Int) -> Double { Double(1 << (levels.count - 1 - level)) }

    /// The pixels of a level that a tile shows; nil where there is no such tile.
    public func frame(level: Int, column: Int, row: Int) -> (x: Int, y: Int, width: Int, height: Int)? {
        guard levels.indices.contains(level) else { return nil }
        let count = tileCount(level: level)
        guard (0..<count.columns).contains(column), (0..<count.rows).contains(row) else { return nil }
        func span(_ index: Int, _ count: Int, _ size: Int) -> (Int, Int) {
            let first = max(0, index * tileSize - (index > 0 ? overlap : 0))
            let last = min(size, (index + 1) * tileSize + (index < count - 1 ? overlap : 0))
            return (first, last - first)
        }
        let (x, width) = span(column, count.columns, levels[level].width)
        let (y, height) = span(row, count.rows, levels[level].height)
        return (x, y, width, height)
    }

    /// A tile's picture, averaged by area from the nearest finer level of the slide.
    ///
    /// - Throws: ``SlideError`` where there is no such tile, or its pixels cannot be read.
    public func tile(level: Int, column: Int, row: Int) throws(SlideError) -> RGBImage {
        guard let frame = frame(level: level, column: column, row: row) else {
            throw SlideError(
                .unreadable, "slide \(slide.name) has no tile \(column), \(row) at DeepZoom level \(level)")
        }
        let wanted = downsample(level: level)
        let source = slide.levels.indices.last { slide.levels[$0].downsample <= wanted * 1.0001 } ?? 0
        let resampling = AreaResampling(scale: max(1, wanted / slide.levels[source].downsample))
        let columns = resampling.finePixels(start: frame.x, count: frame.width)
        let rows = resampling.finePixels(start: frame.y, count: frame.height)
        if columns.count * rows.count > DeepZoom.mostPixels {
            return try thinned(frame, columns: columns, source: source, resampling: resampling)
        }
        let fine = try slide.read(
            level: source, levelX: columns.lowerBound, levelY: rows.lowerBound, width: columns.count, height: rows.count
        )
        return resampling.resampled(fine, x: frame.x, y: frame.y, width: frame.width, height: frame.height)
    }

    /// The same where the slide has no level near the wanted one: of each row's fine pixels only the middle ones are read.
    private func thinned(
        _ frame: (x: Int, y: Int, width: Int, height: Int), columns: Range<Int>, source: Int,
        resampling: AreaResampling
    ) throws(SlideError) -> RGBImage {
        var image = RGBImage(width: frame.width, height: frame.height)
        for y in 0..<frame.height {
            let rows = resampling.finePixels(start: frame.y + y, count: 1)
            let fine = try slide.read(
                level: source, levelX: columns.lowerBound, levelY: rows.lowerBound + rows.count / 2,
                width: columns.count, height: 1)
            for x in 0..<frame.width {
                let own = resampling.finePixels(start: frame.x + x, count: 1)
                var sum = (0, 0, 0)
                for column in own.clamped(to: columns) {
                    let color = fine[column - columns.lowerBound, 0]
                    sum = (sum.0 + Int(color.0), sum.1 + Int(color.1), sum.2 + Int(color.2))
                }
                let count = max(1, own.count)
                image[x, y] = (UInt8(sum.0 / count), UInt8(sum.1 / count), UInt8(sum.2 / count))
            }
        }
        return image
    }

    /// The whole slide within a square of `side` pixels.
    public func thumbnail(side: Int) throws(SlideError) -> RGBImage {
        let level = levels.indices.last { max(levels[$0].width, levels[$0].height) <= max(1, side) } ?? 0
        let count = tileCount(level: level)
        var image = RGBImage(width: levels[level].width, height: levels[level].height)
        for row in 0..<count.rows {
            for column in 0..<count.columns {
                guard let frame = frame(level: level, column: column, row: row) else { continue }
                image.paste(try tile(level: level, column: column, row: row), x: frame.x, y: frame.y)
            }
        }
        return image
    }

    /// The `.dzi` file.
    public var descriptor: String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" Overlap="\(overlap)" TileSize="\(tileSize)">
          <Size Width="\(slide.width)" Height="\(slide.height)"/>
        </Image>
        """
    }
}

extension Slide {
    /// Names of the pictures beside the slide: label, macro, thumbnail. Labels carry patients' names.
    public var associatedImageNames: [String] {
        properties.keys.compactMap { key in
            guard key.hasPrefix("openslide.associated."), key.hasSuffix(".width") else { return nil }
            return String(key.dropFirst("openslide.associated.".count).dropLast(".width".count))
        }.sorted()
    }

    /// A picture beside the slide.
    ///
    /// - Throws: ``SlideError`` where there is none of that name, or it cannot be read.
    public func associatedImage(_ name: String) throws(SlideError) -> RGBImage { try readAssociatedImage(name) }
}
