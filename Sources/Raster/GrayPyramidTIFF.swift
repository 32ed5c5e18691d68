internal import CTIFF
public import Failures
public import Foundation

/// Writes a tiled BigTIFF pyramid of one byte a pixel, row by row, that OpenSlide, QuPath and tifffile open; its description
/// is OME-XML.
///
/// Memory holds one row of tiles a level: what a level has collected goes, compressed, into a file of its own beside the
/// target, and the files are joined at the end.
public final class GrayPyramidTIFF {
    /// How four pixels become one of the next level.
    public enum Reduction: Sendable {
        case mean
        /// The more frequent of 0 and the rest; for masks.
        case majority
    }

    private static let tileSide = 256

    /// One level that is being written.
    private struct Level {
        let width: Int
        let height: Int
        let file: URL
        let tiff: OpaquePointer
        /// Up to a row of tiles.
        var band: [UInt8]
        var rowsInBand = 0
        var nextTileRow = 0
    }

    private let url: URL
    private let micronsPerPixel: Double
    private let name: String
    private let reduction: Reduction
    private var levels: [Level] = []
    private var isOpen = true

    /// - Parameters:
    ///   - name: of the image, in the OME-XML.
    ///   - micronsPerPixel: of the full resolution.
    public init(
        _ url: URL, width: Int, height: Int, micronsPerPixel: Double, name: String, reduction: Reduction
    ) throws(RasterError) {
        self.url = url
        self.micronsPerPixel = micronsPerPixel
        self.name = name
        self.reduction = reduction
        graticule_tiff_install_handlers()
        var (width, height) = (max(1, width), max(1, height))
        while true {
            try open(width: width, height: height)
            if max(width, height) <= GrayPyramidTIFF.tileSide { break }
            (width, height) = ((width + 1) / 2, (height + 1) / 2)
        }
    }

    deinit {
        if isOpen { close() }
        for level in levels { try? FileManager.default.removeItem(at: level.file) }
    }

    /// Adds pixel rows from the top down; `rows` holds whole rows.
    public func append(_ rows: UnsafeBufferPointer<UInt8>) throws(RasterError) {
        try append(rows, to: 0)
    }

    /// Completes every level and gives the file its name.
    ///
    /// - Throws: ``RasterError`` where rows are missing or the disk is full.
    public func finish() throws(RasterError) {
        for index in levels.indices {
            if levels[index].rowsInBand > 0 { try flush(index) }
            let rows = levels[index].nextTileRow * GrayPyramidTIFF.tileSide
            guard rows >= levels[index].height else {
                throw RasterError(.mismatch, "cannot write \(url.path): rows are missing")
            }
        }
        // The first level's file becomes the target; the others' tiles are copied behind its own.
        let target = levels[0].tiff
        guard TIFFWriteDirectory(target) != 0 else { throw failure }
        for level in levels.dropFirst() {
            try copy(level, to: target)
        }
        close()
        try AtomicFile.rename(levels[0].file, to: url)
    }

    private func close() {
        isOpen = false
        for level in levels { TIFFClose(level.tiff) }
    }

    private var failure: RasterError {
        // libtiff says that a write failed, the system why.
        let reason = errno
        let text = String(cString: graticule_tiff_error())
        let isFull = reason == ENOSPC || reason == EDQUOT || reason == EFBIG
        return RasterError(
            .unwritable, "cannot write \(url.path): \(isFull ? String(cString: strerror(reason)) : text)")
    }

    private func open(width: Int, height: Int) throws(RasterError) {
        let base = AtomicFile.temporaryName(for: url)
        let file = levels.isEmpty ? base : base.appendingPathExtension("\(levels.count)")
        guard let tiff = TIFFOpen(file.path, "w8") else { throw failure }
        levels.append(
            Level(
                width: width, height: height, file: file, tiff: tiff,
                band: [UInt8](repeating: 0, count: width * GrayPyramidTIFF.tileSide)))
        try describe(tiff, width: width, height: height, level: levels.count - 1)
    }

    private func describe(_ tiff: OpaquePointer, width: Int, height: Int, level: Int) throws(RasterError) {
        let side = UInt32(GrayPyramidTIFF.tileSide)
        let resolution = 10_000 / micronsPerPixel / Double(1 << level)
        var calls: [Int32] = [
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_IMAGEWIDTH), UInt32(width)),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_IMAGELENGTH), UInt32(height)),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_SUBFILETYPE), level == 0 ? 0 : UInt32(FILETYPE_REDUCEDIMAGE)),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_BITSPERSAMPLE), 8),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_SAMPLESPERPIXEL), 1),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_PLANARCONFIG), UInt16(PLANARCONFIG_CONTIG)),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_TILEWIDTH), side),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_TILELENGTH), side),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_COMPRESSION), UInt16(COMPRESSION_ADOBE_DEFLATE)),
            graticule_tiff_set_i32(tiff, UInt32(TIFFTAG_ZIPQUALITY), 4),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_PHOTOMETRIC), UInt16(PHOTOMETRIC_MINISBLACK)),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_RESOLUTIONUNIT), UInt16(RESUNIT_CENTIMETER)),
            graticule_tiff_set_float(tiff, UInt32(TIFFTAG_XRESOLUTION), resolution),
            graticule_tiff_set_float(tiff, UInt32(TIFFTAG_YRESOLUTION), resolution),
        ]
        if level == 0 {
            calls.append(
                graticule_tiff_set_string(
                    tiff, UInt32(TIFFTAG_IMAGEDESCRIPTION), openMicroscopyText(width: width, height: height)))
        }
        guard calls.allSatisfy({ $0 != 0 }) else { throw failure }
    }

    /// OME-XML with the size of a pixel; ASCII, as TIFF asks.
    private func openMicroscopyText(width: Int, height: Int) -> String {
        let title = name.unicodeScalars.map { scalar -> String in
            switch scalar {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            case "\"": "&quot;"
            default: scalar.isASCII && scalar.value >= 32 ? String(scalar) : "&#\(scalar.value);"
            }
        }.joined()
        return """
            <?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" \
            Creator="Graticule"><Image ID="Image:0" Name="\(title)"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" \
            Type="uint8" BigEndian="false" SizeX="\(width)" SizeY="\(height)" SizeC="1" SizeZ="1" SizeT="1" \
            PhysicalSizeX="\(micronsPerPixel)" PhysicalSizeXUnit="&#181;m" PhysicalSizeY="\(micronsPerPixel)" \
            PhysicalSizeYUnit="&#181;m"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"/>\
            </Pixels></Image></OME>
            """
    }

    private func append(_ rows: UnsafeBufferPointer<UInt8>, to index: Int) throws(RasterError) {
        let width = levels[index].width
        precondition(rows.count % width == 0, "whole rows are given")
        var offset = 0
        while offset < rows.count {
            let room = GrayPyramidTIFF.tileSide - levels[index].rowsInBand
            let taken = min(room, (rows.count - offset) / width)
            let start = levels[index].rowsInBand * width
            levels[index].band.withUnsafeMutableBufferPointer { band in
                for i in 0..<(taken * width) { band[start + i] = rows[offset + i] }
            }
            levels[index].rowsInBand += taken
            offset += taken * width
            if levels[index].rowsInBand == GrayPyramidTIFF.tileSide { try flush(index) }
        }
    }

    /// Writes a level's row of tiles, and hands half of its rows on to the next level.
    private func flush(_ index: Int) throws(RasterError) {
        let side = GrayPyramidTIFF.tileSide
        let level = levels[index]
        let (width, rows) = (level.width, min(level.rowsInBand, level.height - level.nextTileRow * side))
        guard rows > 0 else {
            levels[index].rowsInBand = 0
            return
        }
        var tile = [UInt8](repeating: 0, count: side * side)
        for x in stride(from: 0, to: width, by: side) {
            let columns = min(side, width - x)
            for row in 0..<side {
                for column in 0..<side {
                    tile[row * side + column] =
                        row < rows && column < columns ? level.band[row * width + x + column] : 0
                }
            }
            let written = tile.withUnsafeMutableBytes {
                TIFFWriteTile(level.tiff, $0.baseAddress, UInt32(x), UInt32(level.nextTileRow * side), 0, 0)
            }
            guard written >= 0 else { throw failure }
        }
        levels[index].rowsInBand = 0
        levels[index].nextTileRow += 1
        guard index + 1 < levels.count else { return }
        let halved = reduced(level.band, width: width, rows: rows, to: levels[index + 1].width)
        var failed: RasterError?
        halved.withUnsafeBufferPointer { rows in
            do throws(RasterError) { try append(rows, to: index + 1) } catch { failed = error }
        }
        if let failed { throw failed }
    }

    private func reduced(_ band: [UInt8], width: Int, rows: Int, to target: Int) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: target * ((rows + 1) / 2))
        for y in 0..<((rows + 1) / 2) {
            let (top, bottom) = (2 * y * width, min(2 * y + 1, rows - 1) * width)
            for x in 0..<target {
                let (left, right) = (2 * x, min(2 * x + 1, width - 1))
                let (a, b, c, d) = (band[top + left], band[top + right], band[bottom + left], band[bottom + right])
                switch reduction {
                case .mean: result[y * target + x] = UInt8((Int(a) + Int(b) + Int(c) + Int(d) + 2) / 4)
                case .majority:
                    let set = (a > 0 ? 1 : 0) + (b > 0 ? 1 : 0) + (c > 0 ? 1 : 0) + (d > 0 ? 1 : 0)
                    result[y * target + x] = set >= 2 ? max(a, b, c, d) : 0
                }
            }
        }
        return result
    }

    private func copy(_ level: Level, to target: OpaquePointer) throws(RasterError) {
        let index = levels.firstIndex { $0.tiff == level.tiff } ?? 0
        try describe(target, width: level.width, height: level.height, level: index)
        guard let source = reopened(level) else { throw failure }
        defer { TIFFClose(source) }
        var bytes: [UInt8] = []
        for tile in 0..<TIFFNumberOfTiles(source) {
            let size = Int(TIFFGetStrileByteCount(source, tile))
            if bytes.count < size { bytes = [UInt8](repeating: 0, count: size) }
            let done = bytes.withUnsafeMutableBytes { buffer in
                TIFFReadRawTile(source, tile, buffer.baseAddress, tmsize_t(size)) == size
                    && TIFFWriteRawTile(target, tile, buffer.baseAddress, tmsize_t(size)) == size
            }
            guard done else { throw failure }
        }
        guard TIFFWriteDirectory(target) != 0 else { throw failure }
    }

    private func reopened(_ level: Level) -> OpaquePointer? {
        // The directory must be on disk before it can be read.
        TIFFWriteDirectory(level.tiff) != 0 && TIFFFlush(level.tiff) != 0 ? TIFFOpen(level.file.path, "r") : nil
    }
}
