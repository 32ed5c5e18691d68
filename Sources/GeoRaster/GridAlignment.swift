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

extension GeoRaster {
    /// Where each pixel of a window of another raster lies in this one: the place in the pixels of `read`, which holds all of them; −1
    /// where the pixel lies beyond this raster.
    ///
    /// - Returns: nil where no pixel lies in this raster.
    /// - Throws: ``GeoRasterError`` where either has no place, or there is no way between their CRS.
    func places(
        of window: Window, on other: GeoRaster
    ) throws(GeoRasterError) -> (read: Window, places: [Int32])? {
        let (own, ownCRS) = try other.placement()
        let (target, targetCRS) = try placement()
        let conversion = try CoordinateConversion(from: ownCRS, to: targetCRS)
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
        let places = columns.indices.map { index in
            columns[index] < 0
                ? -1 : (rows[index] - top) * Int32(read.width) + columns[index] - left
        }
        return (read, places)
    }

    /// The values of a band on the pixels of another raster: of each the pixel that its centre lies in (nearest neighbour); NaN where
    /// there is none, or no data.
    ///
    /// - Parameter window: of the other raster, in its pixels.
    /// - Throws: ``GeoRasterError`` where either has no place, there is no way between their CRS, or it cannot be read.
    public func values(
        band: Int, on other: GeoRaster, window: Window
    ) throws(GeoRasterError) -> [Float] {
        guard let (read, places) = try places(of: window, on: other) else {
            return [Float](repeating: .nan, count: window.width * window.height)
        }
        let values = try values(band: band, in: read)
        return places.map { place in
            guard place >= 0 else { return .nan }
            let value = values[Int(place)]
            return isData(value, band: band) ? value : .nan
        }
    }
}
