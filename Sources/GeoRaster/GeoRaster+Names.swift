internal import Foundation

extension GeoRaster {
    /// The CRS's own name, such as `NAD83 / UTM zone 17N`; nil where there is none.
    public var crsName: String? {
        guard let projection, let open = projection.firstIndex(of: "\"") else { return nil }
        let name = projection[projection.index(after: open)...].prefix { $0 != "\"" }
        return name.isEmpty ? nil : String(name)
    }

    /// Whether the CRS has metres on the ground.
    public var isInMetres: Bool {
        guard let projection, projection.hasPrefix("PROJ") else { return false }
        // The last unit is that of the axes.
        guard let unit = projection.range(of: "UNIT[\"", options: .backwards) else { return false }
        let name = projection[unit.upperBound...].lowercased()
        return name.hasPrefix("metre\"") || name.hasPrefix("meter\"")
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
