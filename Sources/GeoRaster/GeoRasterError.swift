internal import CGDAL
public import Failures
internal import Foundation

/// What went wrong with a raster.
public enum GeoRasterFailures {}

/// What went wrong with a raster.
public typealias GeoRasterError = Failure<GeoRasterFailures>

extension Failure.Code where Domain == GeoRasterFailures {
    /// The file is missing, cut off, or of no format that GDAL reads.
    public static var unopenable: Self { Self("unopenable") }
    /// A part of it cannot be read.
    public static var unreadable: Self { Self("unreadable") }
    /// It has no place on earth: no CRS, or no transform.
    public static var unplaced: Self { Self("unplaced") }
    /// It cannot be written.
    public static var unwritable: Self { Self("unwritable") }
}

/// GDAL's library as this target uses it.
enum GDAL {
    /// Registers formats once, and keeps GDAL from printing on standard error: what it says is in our errors.
    static let start: Void = {
        GDALAllRegister()
        // A twentieth of the machine's memory is GDAL's own choice: too much where several programs share it.
        GDALSetCacheMax64(256 << 20)
        CPLSetErrorHandler(CPLQuietErrorHandler)
    }()

    /// Writes a dataset as a cloud-optimised GeoTIFF.
    ///
    /// - Parameter url: what an error names; the bytes go to `made`.
    static func writeCloudOptimised(
        _ dataset: GDALDatasetH, to made: URL, options: [String], named url: URL
    ) throws(GeoRasterError) {
        let list = options.reduce(nil) { CSLAddString($0, $1) }
        defer { CSLDestroy(list) }
        CPLErrorReset()
        guard let driver = GDALGetDriverByName("COG"),
            let copy = GDALCreateCopy(driver, made.path, dataset, 0, list, nil, nil)
        else { throw GeoRasterError(.unwritable, "cannot write \(url.path)", detail: reason) }
        CPLErrorReset()
        GDALClose(copy)
        // A full disk shows when the file is closed.
        guard CPLGetLastErrorType() != CE_Failure else {
            throw GeoRasterError(.unwritable, "cannot write \(url.path)", detail: reason)
        }
    }

    /// GDAL's own words about the last failure on this thread.
    static var reason: String {
        String(cString: CPLGetLastErrorMsg()).split(whereSeparator: \.isNewline).joined(separator: "; ")
    }
}
