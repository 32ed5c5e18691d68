internal import CGDAL
public import Failures
public import Foundation

/// Small rasters of numbers.
public enum FloatRaster {
    /// Writes one band as a cloud-optimised GeoTIFF, whole or not at all.
    ///
    /// - Parameters:
    ///   - values: row by row; NaN is no data.
    ///   - name: of the band.
    public static func write(
        _ values: [Float], width: Int, height: Int, placement: (transform: GeoTransform, projection: String)?,
        name: String, to url: URL
    ) throws(GeoRasterError) {
        precondition(values.count == width * height && !values.isEmpty, "there is one value a pixel")
        _ = GDAL.start
        CPLErrorReset()
        func unwritable() -> GeoRasterError {
            GeoRasterError(.unwritable, "cannot write \(url.path)", detail: GDAL.reason)
        }
        guard let memory = GDALGetDriverByName("MEM"),
            let dataset = GDALCreate(memory, "", Int32(width), Int32(height), 1, GDT_Float32, nil),
            let band = GDALGetRasterBand(dataset, 1)
        else { throw unwritable() }
        defer { GDALClose(dataset) }
        if let placement {
            var coefficients = placement.transform.coefficients
            GDALSetGeoTransform(dataset, &coefficients)
            GDALSetProjection(dataset, placement.projection)
        }
        GDALSetRasterNoDataValue(band, .nan)
        GDALSetDescription(band, name)
        var values = values
        let status = values.withUnsafeMutableBytes { buffer in
            GDALRasterIO(
                band, GF_Write, 0, 0, Int32(width), Int32(height), buffer.baseAddress, Int32(width), Int32(height),
                GDT_Float32, 0, 0)
        }
        let made = url.deletingLastPathComponent().appendingPathComponent(
            ".\(url.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).part")
        defer { try? FileManager.default.removeItem(at: made) }
        guard status == CE_None else { throw unwritable() }
        try GDAL.writeCloudOptimised(dataset, to: made, options: ["COMPRESS=DEFLATE"], named: url)
        guard rename(made.path, url.path) == 0 else {
            throw GeoRasterError(.unwritable, "cannot write \(url.path): \(String(cString: strerror(errno)))")
        }
    }
}
