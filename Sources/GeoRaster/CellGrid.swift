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
        let (own, ownCRS) = try image.placement()
        let (other, otherCRS) = try coarse.placement()
        let conversion = try CoordinateConversion(from: ownCRS, to: otherCRS)
        (width, height) = (window.width, window.height)
        // The coarse pixel of each pixel of the image.
        var columns = [Int32](repeating: -1, count: width * height)
        var rows = columns
        var (left, right, top, bottom) = (Int32.max, Int32.min, Int32.max, Int32.min)
        func put(_ pixel: (column: Double, row: Double), at index: Int) {
            guard pixel.column >= 0, pixel.row >= 0, pixel.column < Double(coarse.width),
                pixel.row < Double(coarse.height)
            else { return }
            let (c, r) = (Int32(pixel.column), Int32(pixel.row))
            (columns[index], rows[index]) = (c, r)
            (left, right, top, bottom) = (min(left, c), max(right, c), min(top, r), max(bottom, r))
        }
        let lattice = Lattice(window: window, own: own, other: other, conversion: conversion)
        var doubtful: [Int] = []
        for row in 0..<height {
            for column in 0..<width {
                let pixel = lattice.pixel(column: column, row: row)
                if Lattice.isNearBorder(pixel) {
                    doubtful.append(row * width + column)
                } else {
                    put(pixel, at: row * width + column)
                }
            }
        }
        var (xs, ys) = ([Double](), [Double]())
        for index in doubtful {
            let place = own.place(
                column: Double(window.column + index % width) + 0.5, row: Double(window.row + index / width) + 0.5)
            xs.append(place.x)
            ys.append(place.y)
        }
        conversion.convert(x: &xs, y: &ys)
        for (number, index) in doubtful.enumerated() { put(other.pixel(x: xs[number], y: ys[number]), at: index) }
        var cells = [Int32](repeating: -1, count: width * height)
        guard left <= right else {
            (self.cells, values, keys) = (cells, [], [])
            return
        }
        let read = GeoRaster.Window(
            column: Int(left), row: Int(top), width: Int(right - left) + 1, height: Int(bottom - top) + 1)
        let all = try coarse.values(band: 0, in: read)
        // Numbers in the order in which cells are met.
        var numbers = [Int32](repeating: -1, count: all.count)
        var values: [Float] = []
        var keys: [Int] = []
        for index in cells.indices where columns[index] >= 0 {
            let place = Int(rows[index] - top) * read.width + Int(columns[index] - left)
            guard coarse.isData(all[place], band: 0) else { continue }
            if numbers[place] < 0 {
                numbers[place] = Int32(values.count)
                values.append(all[place])
                keys.append(Int(rows[index]) * coarse.width + Int(columns[index]))
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

/// Where pixels of one raster lie in another, from exact places on a lattice and straight lines between them: within 64 pixels of an
/// image a projection bends by far less than a thousandth of a pixel. What lies nearer to a border is to be asked exactly.
private struct Lattice {
    private static let step = 64
    private let columns: Int
    private let x: [Double]
    private let y: [Double]

    init(
        window: GeoRaster.Window, own: GeoTransform, other: GeoTransform, conversion: CoordinateConversion
    ) {
        columns = window.width / Lattice.step + 2
        let rows = window.height / Lattice.step + 2
        var (xs, ys) = ([Double](), [Double]())
        for row in 0..<rows {
            for column in 0..<columns {
                let place = own.place(
                    column: Double(window.column + column * Lattice.step) + 0.5,
                    row: Double(window.row + row * Lattice.step) + 0.5)
                xs.append(place.x)
                ys.append(place.y)
            }
        }
        conversion.convert(x: &xs, y: &ys)
        let pixels = zip(xs, ys).map { other.pixel(x: $0, y: $1) }
        (x, y) = (pixels.map(\.column), pixels.map(\.row))
    }

    static func isNearBorder(_ pixel: (column: Double, row: Double)) -> Bool {
        let limit = 1e-3
        return !(abs(pixel.column - pixel.column.rounded()) > limit && abs(pixel.row - pixel.row.rounded()) > limit)
    }

    func pixel(column: Int, row: Int) -> (column: Double, row: Double) {
        let (i, j) = (column / Lattice.step, row / Lattice.step)
        let u = Double(column - i * Lattice.step) / Double(Lattice.step)
        let v = Double(row - j * Lattice.step) / Double(Lattice.step)
        let first = j * columns + i
        func mixed(_ values: [Double]) -> Double {
            (values[first] * (1 - u) + values[first + 1] * u) * (1 - v)
                + (values[first + columns] * (1 - u) + values[first + columns + 1] * u) * v
        }
        return (mixed(x), mixed(y))
    }
}
