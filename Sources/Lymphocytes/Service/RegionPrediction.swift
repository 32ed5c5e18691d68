internal import BatchWork
internal import Failures
internal import Foundation
internal import LabelSuperResolution
internal import Raster
public import ResultStore
internal import TiledPrediction
public import WholeSlide

/// The network on one rectangle of a slide, as `segment` would see it there.
public struct RegionPrediction: Sendable {
    /// A rectangle in level-0 pixels.
    public struct Frame: Codable, Sendable {
        public let x: Double
        public let y: Double
        public let width: Double
        public let height: Double
    }

    /// The cells that lie in the rectangle; those on its edge are cut.
    public let cells: [CellRecord]
    /// The rectangle: the one asked for, widened to the network's grid and cut off at the slide's edge.
    public let frame: Frame
    /// Mean probability of its pixels.
    public let meanProbability: Double

    /// The largest side of a rectangle, working pixels.
    public static let mostPixels = 1024

    /// - Parameters:
    ///   - x: left edge, level-0 px.
    ///   - side: of the square, level-0 px.
    /// - Throws: where the rectangle lies outside the slide or is too large, or cannot be read.
    public init(
        slide: Slide, scale: SlideScale, model: SegmentationModel, threshold: Double? = nil, x: Double, y: Double,
        side: Double
    ) throws {
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: model.micronsPerPixel)
        guard x.isFinite, y.isFinite, side.isFinite, side > 0, x + side > 0, y + side > 0,
            x < Double(slide.width), y < Double(slide.height)
        else {
            throw InputError(.unusable, "the square (\(x), \(y)) of \(side) px does not lie on slide \(slide.name)")
        }
        guard frame.working(side) <= Double(RegionPrediction.mostPixels) else {
            throw InputError(
                .unusable,
                "a square of \(side) px is too large: at most \(Int(frame.level0(Double(RegionPrediction.mostPixels)))) px"
            )
        }
        let tile = RegionPrediction.tile(
            frame, grid: model.network.gridMultiple, x: x, y: y, width: side, height: side)
        let output = try TilePredictor(WorkingReader(slide: slide, frame: frame), model: model)
            .output(of: tile)
        let rows = tile.y..<(tile.y + tile.height)
        let band = CellBand(rows: rows, threshold: threshold ?? model.threshold, regions: [])
        meanProbability = band.place(output, at: tile).meanProbability
        var components = StreamingComponents(firstRow: tile.y)
        let closed = band.append(to: &components) + components.finish()
        let outliner = CellOutliner(frame: frame)
        cells = closed.flatMap { outliner.cells(of: $0) }
        self.frame = Frame(
            x: frame.level0(Double(tile.x)), y: frame.level0(Double(tile.y)), width: frame.level0(Double(tile.width)),
            height: frame.level0(Double(tile.height)))
    }

    /// The working pixels of a level-0 rectangle, from a point of the network's grid on and within the slide.
    static func tile(
        _ frame: WorkingFrame, grid: Int, x: Double, y: Double, width: Double, height: Double
    ) -> TileGrid.Tile {
        func span(_ from: Double, _ length: Double, _ limit: Int) -> Range<Int> {
            let first = max(0, min(limit - 1, Int(frame.working(from).rounded(.down)))) / grid * grid
            return first..<max(first + 1, min(limit, Int(frame.working(from + length).rounded(.up))))
        }
        let (columns, rows) = (span(x, width, frame.width), span(y, height, frame.height))
        return TileGrid.Tile(
            column: 0, row: 0, x: columns.lowerBound, y: rows.lowerBound, width: columns.count, height: rows.count)
    }
}
