public import Failures
internal import Foundation

/// A coarse raster on the grid of an image: for each pixel of the image the cell that its centre lies in (nearest neighbour), and the
/// cell's number.
///
/// Cells of one projection lie rotated on the grid of another. A grid of squares would mix neighbours; the numbers tell which pixels
/// are of one cell.
public struct CellGrid: Sendable {
    public let width: Int
    public let height: Int
    /// Of each pixel, row by row; −1 where the coarse raster has no cell, or no data.
    public let cells: [Int32]
    /// The value of each cell by its number.
    public let values: [Float]
    /// What tells each cell from all others of the same rasters, in every window.
    public let keys: [Int]

    /// - Parameters:
    ///   - coarse: its first band holds the values.
    ///   - window: of the image, in the image's pixels.
    /// - Throws: ``GeoRasterError`` where either has no place, there is no way between their CRS, or the coarse raster cannot be read.
    public init(coarse: GeoRaster, on image: GeoRaster, window: GeoRaster.Window) throws(GeoRasterError) {
        (width, height) = (window.width, window.height)
        let found = try coarse.places(of: window, on: image)
        var cells = [Int32](repeating: -1, count: width * height)
        guard let (read, places) = found else {
            (self.cells, values, keys) = (cells, [], [])
            return
        }
        let all = try coarse.values(band: 0, in: read)
        // Numbers in the order in which cells are met.
        var numbers = [Int32](repeating: -1, count: all.count)
        var values: [Float] = []
        var keys: [Int] = []
        for index in cells.indices where places[index] >= 0 {
            let place = Int(places[index])
            guard coarse.isData(all[place], band: 0) else { continue }
            if numbers[place] < 0 {
                numbers[place] = Int32(values.count)
                values.append(all[place])
                keys.append((read.row + place / read.width) * coarse.width + read.column + place % read.width)
            }
            cells[index] = numbers[place]
        }
        (self.cells, self.values, self.keys) = (cells, values, keys)
    }

    /// The same of a coarse raster that someone has resampled to the image's grid already, so that its cells are lost: squares of
    /// that grid, each cut by value.
    ///
    /// - Parameters:
    ///   - side: of a square in pixels, about that of a cell.
    ///   - window: of both rasters, in pixels.
    /// - Throws: ``GeoRasterError`` where the window cannot be read.
    public init(resampled coarse: GeoRaster, side: Int, window: GeoRaster.Window) throws(GeoRasterError) {
        (width, height) = (window.width, window.height)
        let all = try coarse.values(band: 0, in: window)
        var cells = [Int32](repeating: -1, count: all.count)
        var values: [Float] = []
        var keys: [Int] = []
        struct Piece: Hashable {
            let square: Int
            let value: Float
        }
        var numbers: [Piece: Int32] = [:]
        let squares = (coarse.width + side - 1) / side
        for row in 0..<height {
            for column in 0..<width {
                let value = all[row * width + column]
                guard coarse.isData(value, band: 0) else { continue }
                let square = (window.row + row) / side * squares + (window.column + column) / side
                let piece = Piece(square: square, value: value)
                if let known = numbers[piece] {
                    cells[row * width + column] = known
                } else {
                    numbers[piece] = Int32(values.count)
                    cells[row * width + column] = Int32(values.count)
                    values.append(value)
                    // Values are codes of up to 16 bits; others share a key, which only their counts would notice.
                    keys.append(square << 16 | Int(max(0, min(65_535, value))))
                }
            }
        }
        (self.cells, self.values, self.keys) = (cells, values, keys)
    }
}
