public import Foundation
internal import LabelSuperResolution
internal import Raster
public import ResultStore
internal import TiledPrediction
public import WholeSlide

/// The lymphocyte layer over a slide, as DeepZoom tiles with transparency.
///
/// Near the network's own scale a tile shows its probability, computed anew; farther out, where a pixel is larger than a
/// nucleus, the share of the area that stored cells cover.
public struct ProbabilityOverlay: Sendable {
    private let pyramid: DeepZoom
    private let scale: SlideScale
    private let model: SegmentationModel?
    private let store: ResultStore
    private let run: Int64

    /// Beyond so many µm a pixel, cells are shown instead of probabilities.
    private static let coarsestNetwork = 1.1
    /// Beyond so many, sums of tiles instead of single cells.
    private static let coarsestCells = 8.0
    /// Pixels of a bin where cells are counted.
    private static let bin = 8
    /// The covered share that gets the strongest colour.
    private static let fullShare = 0.4

    /// - Parameter model: nil where it is not at hand; then cells are shown at all levels.
    public init(pyramid: DeepZoom, scale: SlideScale, model: SegmentationModel?, store: ResultStore, run: Int64) {
        self.pyramid = pyramid
        self.scale = scale
        self.model = model
        self.store = store
        self.run = run
    }

    /// A tile as PNG; nil where there is no such tile.
    public func png(level: Int, column: Int, row: Int) throws -> Data? {
        guard let frame = pyramid.frame(level: level, column: column, row: row) else { return nil }
        let step = pyramid.downsample(level: level)
        let microns = step * scale.micronsPerPixel
        var pixels = [UInt8](repeating: 0, count: 4 * frame.width * frame.height)
        let (left, top) = (Double(frame.x) * step, Double(frame.y) * step)
        let (width, height) = (Double(frame.width) * step, Double(frame.height) * step)
        if let model, microns <= ProbabilityOverlay.coarsestNetwork {
            let working = try WorkingFrame(
                slide: pyramid.slide, scale: scale, micronsPerPixel: model.micronsPerPixel)
            let tile = RegionPrediction.tile(
                working, grid: model.network.gridMultiple, x: left, y: top, width: width, height: height)
            let output = try TilePredictor(
                WorkingReader(slide: pyramid.slide, frame: working), model: model
            ).output(of: tile)
            var bytes = [UInt8](repeating: 0, count: tile.width * tile.height)
            _ = ProbabilityByte.rows(of: output.logOdds) { row, values in
                bytes.replaceSubrange((row * tile.width)..<((row + 1) * tile.width), with: values)
            }
            for y in 0..<frame.height {
                let sourceY = Int(working.working(top + (Double(y) + 0.5) * step)) - tile.y
                for x in 0..<frame.width {
                    let sourceX = Int(working.working(left + (Double(x) + 0.5) * step)) - tile.x
                    let byte = bytes[
                        max(0, min(tile.height - 1, sourceY)) * tile.width + max(0, min(tile.width - 1, sourceX))]
                    ProbabilityOverlay.paint(Double(byte) / 255, &pixels, 4 * (y * frame.width + x))
                }
            }
        } else if microns <= ProbabilityOverlay.coarsestCells {
            let bin = ProbabilityOverlay.bin
            let (columns, rows) = ((frame.width + bin - 1) / bin, (frame.height + bin - 1) / bin)
            var areas = [Double](repeating: 0, count: columns * rows)
            for cell in try store.centroids(run: run, minX: left, minY: top, maxX: left + width, maxY: top + height)
            where cell.x >= left && cell.y >= top {
                let (x, y) = (Int((cell.x - left) / step) / bin, Int((cell.y - top) / step) / bin)
                if (0..<columns).contains(x), (0..<rows).contains(y) { areas[y * columns + x] += cell.area }
            }
            let full = Double(bin * bin) * microns * microns * ProbabilityOverlay.fullShare
            for y in 0..<frame.height {
                for x in 0..<frame.width {
                    ProbabilityOverlay.paint(
                        areas[y / bin * columns + x / bin] / full, &pixels, 4 * (y * frame.width + x))
                }
            }
        } else {
            for tile in try store.tiles(run: run, minX: left, minY: top, maxX: left + width, maxY: top + height) {
                let area = tile.width * tile.height * scale.micronsPerPixel * scale.micronsPerPixel
                let value = tile.cellArea / area / ProbabilityOverlay.fullShare
                let columns = ProbabilityOverlay.pixels(tile.x - left, tile.width, step, frame.width)
                for y in ProbabilityOverlay.pixels(tile.y - top, tile.height, step, frame.height) {
                    for x in columns { ProbabilityOverlay.paint(value, &pixels, 4 * (y * frame.width + x)) }
                }
            }
        }
        return try PNG.encoded(rgba: pixels, width: frame.width, height: frame.height)
    }

    private static func pixels(_ from: Double, _ length: Double, _ step: Double, _ limit: Int) -> Range<Int> {
        let first = max(0, min(limit, Int((from / step).rounded())))
        return first..<max(first, min(limit, Int(((from + length) / step).rounded())))
    }

    /// From transparent over teal to yellow: neither occurs in haematoxylin and eosin.
    private static func paint(_ value: Double, _ pixels: inout [UInt8], _ index: Int) {
        let v = max(0, min(1, value))
        guard v > 0.02 else { return }
        pixels[index] = UInt8(255 * v * v)
        pixels[index + 1] = UInt8(130 + 105 * v)
        pixels[index + 2] = UInt8(136 - 80 * v)
        pixels[index + 3] = UInt8(255 * v.squareRoot())
    }
}
