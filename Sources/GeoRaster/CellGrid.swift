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

    /// - Parameters:
    ///   - coarse: its first band holds the values.
    ///   - window: of the image, in the image's pixels.
    /// - Throws: ``GeoRasterError`` where either has no place, there is no way between their CRS, or the coarse raster cannot be read.
    public init(coarse: GeoRaster, on image: GeoRaster, window: GeoRaster.Window) throws(GeoRasterError) {
        let (own, ownCRS) = try image.placement()
        let (other, otherCRS) = try coarse.placement()
        let conversion = try CoordinateConversion(from: ownCRS, to: otherCRS)
        (width, height) = (window.width, window.height)
        // The coarse pixel of each pixel of the image.
        var columns = [Int32](repeating: -1, count: width * height)
        var rows = columns
        var (left, right, top, bottom) = (Int32.max, Int32.min, Int32.max, Int32.min)
        for row in 0..<height {
            var (xs, ys) = ([Double](), [Double]())
            for column in 0..<width {
                let place = own.place(
                    column: Double(window.column + column) + 0.5, row: Double(window.row + row) + 0.5)
                xs.append(place.x)
                ys.append(place.y)
            }
            conversion.convert(x: &xs, y: &ys)
            for column in 0..<width {
                let pixel = other.pixel(x: xs[column], y: ys[column])
                guard pixel.column >= 0, pixel.row >= 0, pixel.column < Double(coarse.width),
                    pixel.row < Double(coarse.height)
                else { continue }
                let (c, r) = (Int32(pixel.column), Int32(pixel.row))
                (columns[row * width + column], rows[row * width + column]) = (c, r)
                (left, right, top, bottom) = (min(left, c), max(right, c), min(top, r), max(bottom, r))
            }
        }
        var cells = [Int32](repeating: -1, count: width * height)
        guard left <= right else {
            (self.cells, values) = (cells, [])
            return
        }
        let read = GeoRaster.Window(
            column: Int(left), row: Int(top), width: Int(right - left) + 1, height: Int(bottom - top) + 1)
        let all = try coarse.values(band: 0, in: read)
        // Numbers in the order in which cells are met.
        var numbers = [Int32](repeating: -1, count: all.count)
        var values: [Float] = []
        for index in cells.indices where columns[index] >= 0 {
            let place = Int(rows[index] - top) * read.width + Int(columns[index] - left)
            guard coarse.isData(all[place], band: 0) else { continue }
            if numbers[place] < 0 {
                numbers[place] = Int32(values.count)
                values.append(all[place])
            }
            cells[index] = numbers[place]
        }
        (self.cells, self.values) = (cells, values)
    }
}
