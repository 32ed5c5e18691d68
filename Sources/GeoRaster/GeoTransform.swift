/// Where a raster's pixels lie: x = a + b · column + c · row, y = d + e · column + f · row, with (column, row) = (0, 0) the outer
/// corner of the first pixel; pixel centres are at ½.
public struct GeoTransform: Equatable, Sendable, Codable {
    /// a, b, c, d, e, f in GDAL's order.
    public let coefficients: [Double]

    /// - Parameter coefficients: six.
    public init(_ coefficients: [Double]) {
        precondition(coefficients.count == 6, "an affine transform has six coefficients")
        self.coefficients = coefficients
    }

    /// Pixels of one size with north up.
    public init(left: Double, top: Double, pixelWidth: Double, pixelHeight: Double) {
        self.init([left, pixelWidth, 0, top, 0, -pixelHeight])
    }

    /// The place of a corner or, at halves, of a pixel's centre.
    public func place(column: Double, row: Double) -> (x: Double, y: Double) {
        let c = coefficients
        return (c[0] + c[1] * column + c[2] * row, c[3] + c[4] * column + c[5] * row)
    }

    /// The area of a pixel in squared units of the CRS, negative where rows go up.
    private var determinant: Double { coefficients[1] * coefficients[5] - coefficients[2] * coefficients[4] }

    /// Whether pixels have an area, so that places have pixels.
    public var isInvertible: Bool { determinant.isFinite && determinant != 0 }

    /// The fractional pixel of a place; ½ is a pixel's centre.
    public func pixel(x: Double, y: Double) -> (column: Double, row: Double) {
        let c = coefficients
        let (dx, dy) = (x - c[0], y - c[3])
        return ((dx * c[5] - dy * c[2]) / determinant, (dy * c[1] - dx * c[4]) / determinant)
    }

    /// Sides of a pixel in units of the CRS.
    public var pixelSize: (width: Double, height: Double) {
        let c = coefficients
        return ((c[1] * c[1] + c[4] * c[4]).squareRoot(), (c[2] * c[2] + c[5] * c[5]).squareRoot())
    }

    /// Whether rows run from north to south and columns from west to east.
    public var isNorthUp: Bool {
        coefficients[2] == 0 && coefficients[4] == 0 && coefficients[1] > 0 && coefficients[5] < 0
    }

    /// The transform of a window that begins at a pixel.
    public func window(column: Int, row: Int) -> GeoTransform {
        let (x, y) = place(column: Double(column), row: Double(row))
        var c = coefficients
        (c[0], c[3]) = (x, y)
        return GeoTransform(c)
    }
}
