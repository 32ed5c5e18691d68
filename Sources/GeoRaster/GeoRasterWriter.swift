internal import CGDAL
public import Failures
public import Foundation

/// What a raster of codes says of them: names and colours.
public struct CodeTable: Equatable, Sendable, Codable {
    /// One code.
    public struct Entry: Equatable, Sendable, Codable {
        public let value: UInt8
        public let name: String
        /// Red, green, blue.
        public let color: [UInt8]

        public init(value: UInt8, name: String, color: [UInt8]) {
            precondition(color.count == 3, "a colour has three parts")
            self.value = value
            self.name = name
            self.color = color
        }
    }

    public let entries: [Entry]

    public init(_ entries: [Entry]) {
        self.entries = entries
    }
}

/// Writes a raster of bytes by windows; it has a temporary name until ``finish()``, which makes it a cloud-optimised GeoTIFF: tiles,
/// overviews, and a header that tells a reader where everything lies.
public final class GeoRasterWriter {
    private let url: URL
    private let part: URL
    private var dataset: GDALDatasetH?
    private let width: Int
    private let height: Int

    /// Windows are written fastest where they are multiples of this.
    public static let tileSide = 512

    /// - Parameters:
    ///   - placement: of the raster; nil for one without a place.
    ///   - noData: the value that is no data.
    ///   - table: names and colours of the values.
    public init(
        _ url: URL, width: Int, height: Int, placement: (transform: GeoTransform, projection: String)?, noData: UInt8?,
        table: CodeTable?
    ) throws(GeoRasterError) {
        _ = GDAL.start
        self.url = url
        self.width = width
        self.height = height
        part = url.deletingLastPathComponent().appendingPathComponent(
            ".\(url.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).part")
        CPLErrorReset()
        let options = GeoRasterWriter.list([
            "TILED=YES", "BLOCKXSIZE=\(GeoRasterWriter.tileSide)", "BLOCKYSIZE=\(GeoRasterWriter.tileSide)",
            "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER", "SPARSE_OK=TRUE",
        ])
        defer { CSLDestroy(options) }
        guard let driver = GDALGetDriverByName("GTiff"),
            let made = GDALCreate(driver, part.path, Int32(width), Int32(height), 1, GDT_Byte, options)
        else {
            throw GeoRasterError(.unwritable, "cannot write \(url.path)", detail: GDAL.reason)
        }
        dataset = made
        if let placement {
            var coefficients = placement.transform.coefficients
            GDALSetGeoTransform(made, &coefficients)
            GDALSetProjection(made, placement.projection)
        }
        let band = GDALGetRasterBand(made, 1)
        if let noData { GDALSetRasterNoDataValue(band, Double(noData)) }
        if let table { GeoRasterWriter.describe(band, table) }
    }

    private static func describe(_ band: GDALRasterBandH?, _ table: CodeTable) {
        let colors = GDALCreateColorTable(GPI_RGB)
        defer { GDALDestroyColorTable(colors) }
        var names = [String](repeating: "", count: Int(table.entries.map(\.value).max() ?? 0) + 1)
        for entry in table.entries {
            var color = GDALColorEntry(
                c1: Int16(entry.color[0]), c2: Int16(entry.color[1]), c3: Int16(entry.color[2]), c4: 255)
            GDALSetColorEntry(colors, Int32(entry.value), &color)
            names[Int(entry.value)] = entry.name
        }
        GDALSetRasterColorTable(band, colors)
        let list = list(names)
        defer { CSLDestroy(list) }
        GDALSetRasterCategoryNames(band, list)
    }

    private static func list(_ strings: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
        strings.reduce(nil) { CSLAddString($0, $1) }
    }

    deinit {
        if let dataset { GDALClose(dataset) }
        GeoRasterWriter.remove(part)
    }

    /// What GDAL keeps beside a file: names of codes have no place in a GeoTIFF.
    private static func beside(_ url: URL) -> URL {
        url.deletingLastPathComponent().appendingPathComponent(url.lastPathComponent + ".aux.xml")
    }

    private static func remove(_ url: URL) {
        for file in [url, beside(url)] { try? FileManager.default.removeItem(at: file) }
    }

    /// Writes the values of a window, row by row.
    public func write(_ values: [UInt8], in window: GeoRaster.Window) throws(GeoRasterError) {
        precondition(values.count == window.width * window.height, "there is one value a pixel")
        guard let dataset, window.column >= 0, window.row >= 0, window.column + window.width <= width,
            window.row + window.height <= height
        else { throw GeoRasterError(.unwritable, "\(url.path) has no such window") }
        CPLErrorReset()
        var values = values
        let status = values.withUnsafeMutableBytes { buffer in
            GDALRasterIO(
                GDALGetRasterBand(dataset, 1), GF_Write, Int32(window.column), Int32(window.row),
                Int32(window.width), Int32(window.height), buffer.baseAddress, Int32(window.width),
                Int32(window.height), GDT_Byte, 0, 0)
        }
        guard status == CE_None else {
            throw GeoRasterError(.unwritable, "cannot write \(url.path)", detail: GDAL.reason)
        }
    }

    /// Makes the file whole, under its name.
    public func finish() throws(GeoRasterError) {
        guard let dataset else { return }
        let made = part.deletingLastPathComponent().appendingPathComponent(part.lastPathComponent + ".cog")
        defer { GeoRasterWriter.remove(made) }
        CPLErrorReset()
        GDALFlushCache(dataset)
        // Codes have no mean: overviews take the commonest.
        let options = GeoRasterWriter.list([
            "COMPRESS=DEFLATE", "OVERVIEW_RESAMPLING=MODE", "BIGTIFF=IF_SAFER", "NUM_THREADS=ALL_CPUS",
            "BLOCKSIZE=\(GeoRasterWriter.tileSide)",
        ])
        defer { CSLDestroy(options) }
        guard let driver = GDALGetDriverByName("COG"),
            let copy = GDALCreateCopy(driver, made.path, dataset, 0, options, nil, nil)
        else {
            throw GeoRasterError(.unwritable, "cannot write \(url.path)", detail: GDAL.reason)
        }
        GDALClose(copy)
        GDALClose(dataset)
        self.dataset = nil
        // The names first: a map without them would pass for whole.
        GeoRasterWriter.remove(GeoRasterWriter.beside(url))
        rename(GeoRasterWriter.beside(made).path, GeoRasterWriter.beside(url).path)
        guard rename(made.path, url.path) == 0 else {
            throw GeoRasterError(.unwritable, "cannot write \(url.path): \(String(cString: strerror(errno)))")
        }
    }
}
