internal import BatchWork
public import Failures
internal import Foundation
public import GeoRaster

/// The cells of a coarse raster as sets of an image's pixels.
public struct CoarseCells: Sendable {
    private enum Source {
        /// Its cells are its pixels.
        case own
        /// It has the image's own pixels: its cells are lost, and squares stand for them.
        case resampled(side: Int)
    }

    public let image: GeoRaster
    public let coarse: GeoRaster
    public let classes: LandClasses
    private let source: Source
    private let lookup: CodeLookup
    /// Pixels of a whole cell, about.
    public let cellPixels: Int

    /// The side of a square that stands for a cell of a resampled raster where none is given: NLCD's, in the image's units.
    public static let defaultSide = 30.0

    /// - Parameter side: of a coarse cell, in units of the image's CRS, where the coarse raster was resampled to the image's
    ///   pixels; nil for 30.
    /// - Throws: ``GeoRasterError`` where either has no place and they do not have the same pixels, or ``InputError`` where a
    ///   coarse cell is smaller than a few pixels.
    public init(image: GeoRaster, coarse: GeoRaster, classes: LandClasses, side: Double? = nil) throws {
        self.image = image
        self.coarse = coarse
        self.classes = classes
        lookup = classes.lookup
        if coarse.hasPixels(of: image) {
            let size = image.transform?.pixelSize.width ?? 1
            let wanted = (side ?? CoarseCells.defaultSide) / size
            guard wanted.isFinite, wanted >= 1, wanted < 65_536 else {
                throw InputError(
                    .unusable,
                    "a cell of \(side ?? CoarseCells.defaultSide) units of the CRS is \(wanted) pixels of \(image.url.path): give its side with --cell-side"
                )
            }
            let pixels = max(1, Int(((side ?? CoarseCells.defaultSide) / size).rounded()))
            source = .resampled(side: pixels)
            cellPixels = pixels * pixels
            return
        }
        let (own, ownCRS) = try image.placement()
        let (other, otherCRS) = try coarse.placement()
        // A cell's area in the image's pixels, from its corners.
        let conversion = try CoordinateConversion(from: ownCRS, to: otherCRS)
        let (column, row) = (Double(image.width) / 2, Double(image.height) / 2)
        var (xs, ys) = ([Double](), [Double]())
        for (dx, dy) in [(0.0, 0.0), (100.0, 0.0), (0.0, 100.0)] {
            let place = own.place(column: column + dx, row: row + dy)
            xs.append(place.x)
            ys.append(place.y)
        }
        conversion.convert(x: &xs, y: &ys)
        let corners = zip(xs, ys).map { other.pixel(x: $0, y: $1) }
        let (a, b) = (
            (corners[1].column - corners[0].column, corners[1].row - corners[0].row),
            (corners[2].column - corners[0].column, corners[2].row - corners[0].row)
        )
        let area = abs(a.0 * b.1 - a.1 * b.0) / 10_000
        guard area.isFinite, area > 0 else {
            throw InputError(
                .unusable, "coarse raster \(coarse.url.path) and image \(image.url.path) do not lie in one place")
        }
        cellPixels = max(1, Int((1 / area).rounded()))
        source = .own
        guard cellPixels >= CoarseCells.leastPixels else {
            throw InputError(
                .unusable,
                "a cell of \(coarse.url.path) holds \(cellPixels) pixel\(cellPixels == 1 ? "" : "s") of \(image.url.path): give the coarse raster as it was published, or one that was warped to exactly the image's pixels"
            )
        }
    }

    private static let leastPixels = 4

    /// The cells in a window of the image, and the class of each; nil where the table has none for its value.
    public func cells(in window: GeoRaster.Window) throws(GeoRasterError) -> (grid: CellGrid, classes: [Int?]) {
        let grid =
            switch source {
            case .own: try CellGrid(coarse: coarse, on: image, window: window)
            case .resampled(let side): try CellGrid(resampled: coarse, side: side, window: window)
            }
        return (grid, grid.values.map { lookup[$0] })
    }

    /// Fewer pixels of a cell than this – half of a whole one – are a piece, whose shares are not those of a cell.
    public var leastCellPixels: Int { max(1, cellPixels / 2) }

    /// Adds up over the pixels of each cell, strip by strip from the top; what is held is the cells of two strips.
    ///
    /// - Parameters:
    ///   - empty: the sum of no pixel.
    ///   - begin: gives for a strip what adds one of its pixels, by its place in the strip.
    ///   - merge: adds what another strip has of the same cell.
    ///   - done: gets each cell's value, its class where the table has one, and its sum, in an order that is always the same.
    func addUp<Sum>(
        _ empty: Sum, begin: (GeoRaster.Window) throws -> (_ sum: inout Sum, _ pixel: Int) -> Void,
        merge: (inout Sum, Sum) -> Void, done: (_ value: Float, _ known: Int?, _ sum: Sum) -> Void
    ) throws {
        var open: [Int: OpenCell<Sum>] = [:]
        func close(before row: Int) {
            for key in open.keys.sorted() {
                guard let cell = open[key], cell.lastRow < row else { continue }
                done(cell.value, cell.known, cell.sum)
                open[key] = nil
            }
        }
        try CoarseCells.strips(of: image) { strip in
            let (grid, known) = try cells(in: strip)
            let add = try begin(strip)
            var sums = [Sum](repeating: empty, count: known.count)
            for (pixel, cell) in grid.cells.enumerated() where cell >= 0 { add(&sums[Int(cell)], pixel) }
            for cell in sums.indices {
                let key = grid.keys[cell]
                open[
                    key, default: OpenCell(value: grid.values[cell], known: known[cell], sum: empty, lastRow: strip.row)
                ].lastRow = strip.row
                if var own = open[key] {
                    merge(&own.sum, sums[cell])
                    open[key] = own
                }
            }
            // A cell that this strip did not touch is whole.
            close(before: strip.row)
        }
        close(before: .max)
    }

    /// Calls back for each strip of the image from the top, with all its columns.
    static func strips(of raster: GeoRaster, rows: Int = 256, _ body: (GeoRaster.Window) throws -> Void) rethrows {
        for row in stride(from: 0, to: raster.height, by: rows) {
            try body(
                GeoRaster.Window(column: 0, row: row, width: raster.width, height: min(rows, raster.height - row)))
        }
    }
}

/// A cell of which further strips may hold pixels.
private struct OpenCell<Sum> {
    var value: Float
    var known: Int?
    var sum: Sum
    var lastRow: Int
}
