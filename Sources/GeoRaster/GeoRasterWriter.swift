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

/// Writes a raster of bytes row by row, and makes it a cloud-optimised GeoTIFF at the end: tiles, overviews, and a header that tells a
/// reader where everything lies.
///
/// Rows go to a file of a temporary name. Where the writer has an identity, that file outlives a crash, and the next writer of the same
/// identity goes on after its last row.
public final class GeoRasterWriter {
    private let url: URL
    private let part: URL
    private let file: Int32
    private let width: Int
    private let height: Int
    private let bands: Int
    private let placement: (transform: GeoTransform, projection: String)?
    private let noData: UInt8?
    private let table: CodeTable?
    private let isKept: Bool
    private var isFinished = false
    /// Rows that are there, from the top.
    public private(set) var rows: Int
    /// How many tiles of these rows could not be read: it goes along with them to the writer that goes on.
    public private(set) var unreadableTiles: Int

    /// The side of a tile of the file.
    public static let tileSide = 512
    /// Where the first row begins: before it stands whose rows they are.
    private static let headerBytes = 4096
    /// Where in the header the number of unreadable tiles stands.
    private static let tallyOffset = 4096 - 8

    /// - Parameters:
    ///   - bands: bytes of a pixel.
    ///   - placement: of the raster; nil for one without a place.
    ///   - noData: the value that is no data.
    ///   - table: names and colours of the values.
    ///   - identity: changes with whatever the rows depend on; nil for rows that no other writer goes on with.
    /// - Throws: ``GeoRasterError`` where nothing can be written there, or another writer is at it.
    public init(
        _ url: URL, width: Int, height: Int, bands: Int = 1,
        placement: (transform: GeoTransform, projection: String)?, noData: UInt8?, table: CodeTable?,
        identity: String? = nil
    ) throws(GeoRasterError) {
        precondition(width > 0 && height > 0 && bands > 0, "a raster has pixels")
        self.url = url
        self.width = width
        self.height = height
        self.bands = bands
        self.placement = placement
        self.noData = noData
        self.table = table
        isKept = identity != nil
        part = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).part")
        let opened = open(part.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard opened >= 0 else { throw GeoRasterWriter.unwritable(url) }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            close(opened)
            throw GeoRasterError(.unwritable, "cannot write \(url.path): another program is writing it")
        }
        let text = "graticule map \(width) \(height) \(bands) \(identity ?? "")"
        var header = [UInt8](repeating: 0, count: GeoRasterWriter.headerBytes)
        let (length, tally) = (header.count, GeoRasterWriter.tallyOffset)
        for (index, byte) in text.utf8.prefix(tally).enumerated() { header[index] = byte }
        var found = [UInt8](repeating: 0, count: length)
        let isSame = pread(opened, &found, length, 0) == length && found[..<tally] == header[..<tally]
        let bytes = isKept && isSame ? Int(lseek(opened, 0, SEEK_END)) - header.count : 0
        let whole = min(height, bytes / (width * bands))
        let size = header.count + whole * width * bands
        guard isKept && isSame || ftruncate(opened, 0) == 0,
            isKept && isSame || pwrite(opened, header, header.count, 0) == header.count,
            ftruncate(opened, off_t(size)) == 0
        else {
            close(opened)
            throw GeoRasterWriter.unwritable(url)
        }
        file = opened
        rows = whole
        let kept = found[tally...].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        unreadableTiles = isKept && isSame ? Int(clamping: kept) : 0
    }

    private static func unwritable(_ url: URL) -> GeoRasterError {
        GeoRasterError(.unwritable, "cannot write \(url.path): \(String(cString: strerror(errno)))")
    }

    deinit {
        if isFinished || !isKept { GeoRasterWriter.remove(part) }
        close(file)
    }

    /// Gives up what was written.
    public func discard() {
        GeoRasterWriter.remove(part)
    }

    /// Leaves out rows at the end, so that the next ones begin a row of tiles again.
    public func keep(rows wanted: Int) {
        rows = min(rows, max(0, wanted))
    }

    /// Adds rows at the bottom.
    ///
    /// - Parameters:
    ///   - values: of whole rows; in each row band by band.
    ///   - unreadable: tiles of these rows that could not be read.
    public func append(
        _ values: UnsafeBufferPointer<UInt8>, unreadable: Int = 0
    ) throws(GeoRasterError) {
        let rowBytes = width * bands
        precondition(values.count % rowBytes == 0, "whole rows are added")
        guard rows + values.count / rowBytes <= height else {
            throw GeoRasterError(.unwritable, "\(url.path) has \(height) rows, and no more")
        }
        if unreadable > 0 {
            // Before the rows: a tile counted twice after a crash is better than one that is forgotten.
            unreadableTiles += unreadable
            let tally = (0..<8).map { UInt8(truncatingIfNeeded: unreadableTiles >> (8 * $0)) }
            guard pwrite(file, tally, 8, off_t(GeoRasterWriter.tallyOffset)) == 8 else {
                throw GeoRasterWriter.unwritable(url)
            }
        }
        var (done, start) = (0, GeoRasterWriter.headerBytes + rows * rowBytes)
        while done < values.count {
            let count = pwrite(file, values.baseAddress.map { $0 + done }, values.count - done, off_t(start))
            guard count > 0 else { throw GeoRasterWriter.unwritable(url) }
            done += count
            start += count
        }
        rows += values.count / rowBytes
    }

    /// Adds rows at the bottom.
    public func append(_ values: [UInt8]) throws(GeoRasterError) {
        try values.withUnsafeBufferPointer { (values) throws(GeoRasterError) in try append(values) }
    }

    /// Makes the file whole, under its name.
    ///
    /// - Throws: ``GeoRasterError`` where rows are missing, or it cannot be written.
    public func finish() throws(GeoRasterError) {
        guard rows == height else {
            throw GeoRasterError(.unwritable, "\(url.path) has \(rows) of \(height) rows")
        }
        let size = GeoRasterWriter.headerBytes + height * width * bands
        guard let memory = mmap(nil, size, PROT_READ, MAP_SHARED, file, 0), memory != MAP_FAILED else {
            throw GeoRasterWriter.unwritable(url)
        }
        defer { munmap(memory, size) }
        let made = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).part.cog")
        defer { GeoRasterWriter.remove(made) }
        try copy(UnsafeRawPointer(memory) + GeoRasterWriter.headerBytes, to: made)
        // The names first: a map without them would pass for whole.
        GeoRasterWriter.remove(GeoRasterWriter.beside(url))
        rename(GeoRasterWriter.beside(made).path, GeoRasterWriter.beside(url).path)
        guard rename(made.path, url.path) == 0 else { throw GeoRasterWriter.unwritable(url) }
        isFinished = true
    }

    /// Lets GDAL see the rows as a raster in memory, and write it.
    private func copy(_ pixels: UnsafeRawPointer, to made: URL) throws(GeoRasterError) {
        _ = GDAL.start
        CPLErrorReset()
        guard let memory = GDALGetDriverByName("MEM"),
            let dataset = GDALCreate(memory, "", Int32(width), Int32(height), 0, GDT_Byte, nil)
        else { throw GeoRasterError(.unwritable, "cannot write \(url.path)", detail: GDAL.reason) }
        defer { GDALClose(dataset) }
        for band in 0..<bands {
            let options = GeoRasterWriter.list([
                "DATAPOINTER=\(UInt(bitPattern: pixels + band * width))", "PIXELOFFSET=1",
                "LINEOFFSET=\(width * bands)",
            ])
            defer { CSLDestroy(options) }
            GDALAddBand(dataset, GDT_Byte, options)
            let added = GDALGetRasterBand(dataset, Int32(band + 1))
            if let noData { GDALSetRasterNoDataValue(added, Double(noData)) }
            if let table, bands == 1 { GeoRasterWriter.describe(added, table) }
            if let table, bands == table.entries.count { GDALSetDescription(added, table.entries[band].name) }
        }
        if let placement {
            var coefficients = placement.transform.coefficients
            GDALSetGeoTransform(dataset, &coefficients)
            GDALSetProjection(dataset, placement.projection)
        }
        // Codes have no mean: overviews take the commonest.
        try GDAL.writeCloudOptimised(
            dataset, to: made,
            options: [
                "COMPRESS=DEFLATE", "OVERVIEW_RESAMPLING=\(bands == 1 ? "MODE" : "AVERAGE")", "BIGTIFF=IF_SAFER",
                "NUM_THREADS=ALL_CPUS", "BLOCKSIZE=\(GeoRasterWriter.tileSide)",
            ], named: url)
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

    /// What GDAL keeps beside a file: names of codes have no place in a GeoTIFF.
    private static func beside(_ url: URL) -> URL {
        url.deletingLastPathComponent().appendingPathComponent(url.lastPathComponent + ".aux.xml")
    }

    private static func remove(_ url: URL) {
        for file in [url, beside(url)] { try? FileManager.default.removeItem(at: file) }
    }
}
