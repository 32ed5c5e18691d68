public import Failures

/// Where pixels of one raster lie in another, from exact places on a lattice and straight lines between them: within 64 pixels of an
/// image a projection bends by far less than a thousandth of a pixel. What lies nearer to a border is to be asked exactly.
struct Lattice {
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

/// The pixels of a raster as a grid on the ground, or a coarser or finer one.
public struct GroundGrid: Sendable {
    public let transform: GeoTransform
    public let projection: String

    /// - Throws: ``GeoRasterError`` where the raster has no place.
    public init(_ raster: GeoRaster) throws(GeoRasterError) {
        (transform, projection) = try raster.placement()
    }

    private init(transform: GeoTransform, projection: String) {
        (self.transform, self.projection) = (transform, projection)
    }

    /// Its pixels joined, `factor` × `factor` to one; the upper left corner stays.
    public func coarser(by factor: Int) -> GroundGrid {
        let (c, by) = (transform.coefficients, Double(factor))
        return GroundGrid(
            transform: GeoTransform([c[0], c[1] * by, c[2] * by, c[3], c[4] * by, c[5] * by]), projection: projection)
    }
}

extension GeoRaster {
    /// Where the pixels of a window lie in a raster: its column and row; −1 where beyond it.
    private struct Places {
        let read: Window
        let columns: [Int32]
        let rows: [Int32]
    }

    /// - Returns: nil where no pixel lies in this raster.
    private func places(of window: Window, on grid: GroundGrid) throws(GeoRasterError) -> Places? {
        let (target, targetCRS) = try placement()
        let own = grid.transform
        let conversion = try CoordinateConversion(from: grid.projection, to: targetCRS)
        let count = window.width * window.height
        var columns = [Int32](repeating: -1, count: count)
        var rows = columns
        var (left, right, top, bottom) = (Int32.max, Int32.min, Int32.max, Int32.min)
        func put(_ pixel: (column: Double, row: Double), at index: Int) {
            guard pixel.column >= 0, pixel.row >= 0, pixel.column < Double(width), pixel.row < Double(height) else {
                return
            }
            let (c, r) = (Int32(pixel.column), Int32(pixel.row))
            (columns[index], rows[index]) = (c, r)
            (left, right, top, bottom) = (min(left, c), max(right, c), min(top, r), max(bottom, r))
        }
        let lattice = Lattice(window: window, own: own, other: target, conversion: conversion)
        var doubtful: [Int] = []
        for row in 0..<window.height {
            for column in 0..<window.width {
                let pixel = lattice.pixel(column: column, row: row)
                if Lattice.isNearBorder(pixel) {
                    doubtful.append(row * window.width + column)
                } else {
                    put(pixel, at: row * window.width + column)
                }
            }
        }
        var (xs, ys) = ([Double](), [Double]())
        for index in doubtful {
            let place = own.place(
                column: Double(window.column + index % window.width) + 0.5,
                row: Double(window.row + index / window.width) + 0.5)
            xs.append(place.x)
            ys.append(place.y)
        }
        conversion.convert(x: &xs, y: &ys)
        for (number, index) in doubtful.enumerated() { put(target.pixel(x: xs[number], y: ys[number]), at: index) }
        guard left <= right else { return nil }
        let read = Window(
            column: Int(left), row: Int(top), width: Int(right - left) + 1, height: Int(bottom - top) + 1)
        return Places(read: read, columns: columns, rows: rows)
    }

    /// Where each pixel of a window of another raster lies in this one: the place in the pixels of `read`, which holds all of them; −1
    /// where the pixel lies beyond this raster.
    ///
    /// - Returns: nil where no pixel lies in this raster.
    /// - Throws: ``GeoRasterError`` where either has no place, or there is no way between their CRS.
    func places(
        of window: Window, on other: GeoRaster
    ) throws(GeoRasterError) -> (read: Window, places: [Int32])? {
        guard let found = try places(of: window, on: GroundGrid(other)) else { return nil }
        let (left, top) = (Int32(found.read.column), Int32(found.read.row))
        let places = found.columns.indices.map { index in
            found.columns[index] < 0
                ? -1 : (found.rows[index] - top) * Int32(found.read.width) + found.columns[index] - left
        }
        return (found.read, places)
    }

    /// The values of a band on the pixels of another raster: of each the pixel that its centre lies in (nearest neighbour); NaN where
    /// there is none, or no data.
    ///
    /// - Parameter window: of the other raster, in its pixels.
    /// - Throws: ``GeoRasterError`` where either has no place, there is no way between their CRS, or it cannot be read.
    public func values(
        band: Int, on other: GeoRaster, window: Window
    ) throws(GeoRasterError) -> [Float] {
        try values(band: band, on: GroundGrid(other), window: window, mostRead: .max)
    }

    /// The same on any grid.
    ///
    /// - Parameter mostRead: pixels that are read at most. A window that covers more of this raster gets every so many of its pixels:
    ///   enough for a picture.
    public func values(
        band: Int, on grid: GroundGrid, window: Window, mostRead: Int
    ) throws(GeoRasterError) -> [Float] {
        guard let found = try places(of: window, on: grid) else {
            return [Float](repeating: .nan, count: window.width * window.height)
        }
        let read = found.read
        let step = max(1, (Double(read.width) * Double(read.height) / Double(mostRead)).squareRoot())
        let (columns, rows) = (
            max(1, Int(Double(read.width) / step)), max(1, Int(Double(read.height) / step))
        )
        let values = try values(band: band, in: read, width: columns, height: rows)
        return found.columns.indices.map { index in
            guard found.columns[index] >= 0 else { return .nan }
            let column = (Int(found.columns[index]) - read.column) * columns / read.width
            let row = (Int(found.rows[index]) - read.row) * rows / read.height
            let value = values[row * columns + column]
            return isData(value, band: band) ? value : .nan
        }
    }
}
