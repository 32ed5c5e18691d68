internal import CGDAL
public import Failures
public import Foundation
internal import Synchronization

/// A raster of any format that GDAL reads, by windows: an image with its place on earth, or a map of codes.
///
/// Windows are columns from the left and rows from the top, whatever the transform is.
public struct GeoRaster: Sendable {
    /// A rectangle of pixels.
    public struct Window: Equatable, Sendable {
        public let column: Int
        public let row: Int
        public let width: Int
        public let height: Int

        public init(column: Int, row: Int, width: Int, height: Int) {
            self.column = column
            self.row = row
            self.width = width
            self.height = height
        }
    }

    public let url: URL
    public let width: Int
    public let height: Int
    public let bands: Int
    /// nil where the file says none: such a raster has no place.
    public let transform: GeoTransform?
    /// The CRS as well-known text; nil where the file says none.
    public let projection: String?
    /// Of each band; nil where every value counts.
    public let noData: [Double?]

    /// Owns a dataset, which is for one thread at a time: it is reached through a mutex alone.
    private final class Handle {
        let dataset: GDALDatasetH

        init(_ dataset: GDALDatasetH) { self.dataset = dataset }
        deinit { GDALClose(dataset) }
    }

    private final class Shared: Sendable {
        let handle: Mutex<Handle>

        init(_ handle: sending Handle) { self.handle = Mutex(handle) }
    }

    /// Whether the file has a mask for all bands together.
    private let hasMask: Bool
    private let shared: Shared

    /// The largest side: what a header promises beyond it is no raster that anyone has.
    private static let mostSide = 1 << 24
    private static let mostBands = 1024

    /// Opens a file.
    ///
    /// - Throws: ``GeoRasterError`` with the file's name where it is missing, cut off or no raster.
    public init(_ url: URL) throws(GeoRasterError) {
        _ = GDAL.start
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), !isFolder.boolValue else {
            throw GeoRasterError(
                .unopenable, "cannot open raster \(url.path): \(isFolder.boolValue ? "it is a folder" : "no such file")"
            )
        }
        CPLErrorReset()
        guard
            let dataset = GDALOpenEx(
                url.path, UInt32(GDAL_OF_RASTER | GDAL_OF_READONLY | GDAL_OF_VERBOSE_ERROR), nil, nil, nil)
        else {
            throw GeoRasterError(
                .unopenable, "cannot open raster \(url.path): it is cut off, or no format that GDAL reads",
                detail: GDAL.reason)
        }
        let handle = Handle(dataset)
        self.url = url
        width = Int(GDALGetRasterXSize(dataset))
        height = Int(GDALGetRasterYSize(dataset))
        bands = Int(GDALGetRasterCount(dataset))
        guard (1...GeoRaster.mostSide).contains(width), (1...GeoRaster.mostSide).contains(height),
            (1...GeoRaster.mostBands).contains(bands)
        else {
            throw GeoRasterError(.unopenable, "raster \(url.path) has no band, or impossible dimensions")
        }
        var coefficients = [Double](repeating: 0, count: 6)
        let found = GDALGetGeoTransform(dataset, &coefficients) == CE_None ? GeoTransform(coefficients) : nil
        transform = found.flatMap { $0.isInvertible ? $0 : nil }
        let text = GDALGetProjectionRef(dataset).map { String(cString: $0) } ?? ""
        projection = text.isEmpty ? nil : text
        noData = (1...Int32(bands)).map { number in
            var isSet: Int32 = 0
            let value = GDALGetRasterNoDataValue(GDALGetRasterBand(dataset, number), &isSet)
            return isSet != 0 ? value : nil
        }
        let flags = GDALGetMaskFlags(GDALGetRasterBand(dataset, 1))
        hasMask = flags & GMF_PER_DATASET != 0 && flags & (GMF_ALPHA | GMF_NODATA) == 0
        shared = Shared(handle)
    }

    /// Where the raster lies.
    ///
    /// - Throws: ``GeoRasterError`` where it does not say: a raster with control points only must be warped first.
    public func placement() throws(GeoRasterError) -> (transform: GeoTransform, projection: String) {
        guard let transform, let projection else {
            throw GeoRasterError(
                .unplaced,
                "raster \(url.path) does not say where it lies (\(projection == nil ? "no CRS" : "no transform")): give it one with gdal_translate or gdalwarp"
            )
        }
        return (transform, projection)
    }

    /// Whether each pixel is the other raster's of the same column and row. Of a raster without a place only its size is known.
    public func hasPixels(of other: GeoRaster) -> Bool {
        guard width == other.width, height == other.height else { return false }
        guard let own = try? placement(), let their = try? other.placement() else {
            return transform == nil || other.transform == nil || transform == other.transform
        }
        guard CoordinateConversion.isSame(own.projection, their.projection) else { return false }
        // Programs write the same transform with other last digits.
        return [(0, 0), (width, 0), (0, height)].allSatisfy { column, row in
            let place = own.transform.place(column: Double(column), row: Double(row))
            let pixel = their.transform.pixel(x: place.x, y: place.y)
            return abs(pixel.column - Double(column)) < 0.01 && abs(pixel.row - Double(row)) < 0.01
        }
    }

    /// The values of a band in a window, row by row.
    ///
    /// - Parameter band: from 0.
    /// - Throws: ``GeoRasterError`` where the window is not within the raster, or cannot be read.
    public func values(band: Int, in window: Window) throws(GeoRasterError) -> [Float] {
        try values(band: band, in: window, width: window.width, height: window.height)
    }

    /// The values of a band in a window, with so many columns and rows instead of the window's own: nearest neighbour, from an overview
    /// where the file has one.
    ///
    /// - Throws: ``GeoRasterError`` where the window is not within the raster, or cannot be read.
    public func values(
        band: Int, in window: Window, width columns: Int, height rows: Int
    ) throws(GeoRasterError) -> [Float] {
        precondition(columns > 0 && rows > 0, "a window has pixels")
        guard (0..<bands).contains(band), window.column >= 0, window.row >= 0, window.width > 0, window.height > 0,
            window.column + window.width <= width, window.row + window.height <= height
        else {
            throw GeoRasterError(
                .unreadable,
                "raster \(url.path) of \(width)×\(height) px and \(bands) bands has no window of \(window.width)×\(window.height) px at (\(window.column), \(window.row)) in band \(band + 1)"
            )
        }
        var result = [Float](repeating: 0, count: columns * rows)
        let (status, reason) = shared.handle.withLock { handle in
            CPLErrorReset()
            let status = result.withUnsafeMutableBytes { buffer in
                GDALRasterIO(
                    GDALGetRasterBand(handle.dataset, Int32(band + 1)), GF_Read, Int32(window.column),
                    Int32(window.row), Int32(window.width), Int32(window.height), buffer.baseAddress,
                    Int32(columns), Int32(rows), GDT_Float32, 0, 0)
            }
            return (status, GDAL.reason)
        }
        guard status == CE_None else {
            throw GeoRasterError(
                .unreadable, "cannot read raster \(url.path) at (\(window.column), \(window.row))", detail: reason)
        }
        return result
    }

    /// Which pixels of a window the file's own mask shows, row by row; nil where it has none. What a band of transparency says is not
    /// asked: near infrared is often labelled so.
    public func mask(in window: Window) throws(GeoRasterError) -> [Bool]? {
        try mask(in: window, width: window.width, height: window.height)
    }

    /// The same with so many columns and rows instead of the window's own.
    public func mask(
        in window: Window, width columns: Int, height rows: Int
    ) throws(GeoRasterError) -> [Bool]? {
        guard hasMask else { return nil }
        var result = [UInt8](repeating: 0, count: columns * rows)
        let (status, reason) = shared.handle.withLock { handle in
            CPLErrorReset()
            let status = result.withUnsafeMutableBytes { buffer in
                GDALRasterIO(
                    GDALGetMaskBand(GDALGetRasterBand(handle.dataset, 1)), GF_Read, Int32(window.column),
                    Int32(window.row), Int32(window.width), Int32(window.height), buffer.baseAddress,
                    Int32(columns), Int32(rows), GDT_Byte, 0, 0)
            }
            return (status, GDAL.reason)
        }
        guard status == CE_None else {
            throw GeoRasterError(
                .unreadable, "cannot read the mask of raster \(url.path) at (\(window.column), \(window.row))",
                detail: reason)
        }
        return result.map { $0 != 0 }
    }

    /// Whether a value of a band is data.
    public func isData(_ value: Float, band: Int) -> Bool {
        guard !value.isNaN else { return false }
        return noData[band].map { Float($0) != value } ?? true
    }
}
