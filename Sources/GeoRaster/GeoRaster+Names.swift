internal import Foundation

extension GeoRaster {
    /// The CRS's own name, such as `NAD83 / UTM zone 17N`; nil where there is none.
    public var crsName: String? {
        guard let projection, let open = projection.firstIndex(of: "\"") else { return nil }
        let name = projection[projection.index(after: open)...].prefix { $0 != "\"" }
        return name.isEmpty ? nil : String(name)
    }

    /// Metres on the ground of a column and of a row, at the raster's middle; nil where it has no place.
    public var groundSize: (column: Double, row: Double)? {
        let (x, y) = (Double(width) / 2, Double(height) / 2)
        // Pixels may be far smaller than what degrees tell apart.
        let step = max(1, Double(min(width, height)) / 4)
        guard let middle = try? degrees(column: x, row: y), let right = try? degrees(column: x + step, row: y),
            let below = try? degrees(column: x, row: y + step)
        else { return nil }
        /// On the ellipsoid of WGS 84, along its radii of curvature at the middle.
        func metres(to other: (longitude: Double, latitude: Double)) -> Double {
            let (a, e2) = (6_378_137.0, 0.006_694_379_990_14)
            let latitude = middle.latitude * .pi / 180
            let w = (1 - e2 * sin(latitude) * sin(latitude)).squareRoot()
            let east = (other.longitude - middle.longitude) * .pi / 180 * a / w * cos(latitude)
            let north = (other.latitude - middle.latitude) * .pi / 180 * a * (1 - e2) / (w * w * w)
            return (east * east + north * north).squareRoot()
        }
        let size = (column: metres(to: right) / step, row: metres(to: below) / step)
        return size.column.isFinite && size.row.isFinite && size.column > 0 && size.row > 0 ? size : nil
    }

    /// Where a pixel lies in degrees (WGS 84).
    ///
    /// - Parameter column: ½ is the first pixel's centre.
    /// - Throws: ``GeoRasterError`` where the raster has no place.
    public func degrees(column: Double, row: Double) throws(GeoRasterError) -> (longitude: Double, latitude: Double) {
        let (transform, projection) = try placement()
        let place = transform.place(column: column, row: row)
        var (x, y) = ([place.x], [place.y])
        try CoordinateConversion(from: projection, to: "EPSG:4326").convert(x: &x, y: &y)
        return (x[0], y[0])
    }
}
