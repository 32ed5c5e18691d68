internal import CTIFF
internal import Failures
public import Foundation

/// Writes a tiled, JPEG-compressed pyramid that OpenSlide opens as an Aperio slide, row of tiles by row of tiles.
///
/// The full resolution is never held in memory; the lower levels, a sixteenth and less of it, are.
public struct PyramidTIFF: Sendable {
    public let width: Int
    public let height: Int
    public let micronsPerPixel: Double
    /// The side of a tile in pixels; a multiple of 16 as TIFF asks.
    public static let tileSide = 256
    /// Each level is a quarter as wide as the one before, as scanners write them.
    static let levelFactor = 4

    public init(width: Int, height: Int, micronsPerPixel: Double) {
        self.width = width
        self.height = height
        self.micronsPerPixel = micronsPerPixel
    }

    /// Writes the file under a temporary name and renames it.
    ///
    /// - Parameters:
    ///   - description: free text for the header, after the vendor line.
    ///   - band: gives the pixel rows from `y` on, full width; called from top to bottom.
    public func write(
        to url: URL, description: String, quality: Int = 90, band: (_ y: Int, _ height: Int) throws -> RGBImage
    ) throws {
        graticule_tiff_install_handlers()
        let written = AtomicFile.temporaryName(for: url)
        // Classic TIFF ends at 4 GiB; half a byte a pixel is above what JPEG needs for tissue.
        let mode = Double(width) * Double(height) / 2 > 3.5e9 ? "w8" : "w"
        guard let tiff = TIFFOpen(written.path, mode) else {
            throw RasterError(.unwritable, "cannot write \(url.path): \(String(cString: graticule_tiff_error()))")
        }
        var isOpen = true
        defer {
            if isOpen { TIFFClose(tiff) }
            try? FileManager.default.removeItem(at: written)
        }
        let factor = PyramidTIFF.levelFactor
        var lower = RGBImage(width: max(1, width / factor), height: max(1, height / factor))
        try begin(tiff, width: width, height: height, level: 0, quality: quality, description: description)
        // Bands of whole tiles whose height is also a multiple of the level factor.
        let step = PyramidTIFF.tileSide
        for y in stride(from: 0, to: height, by: step) {
            let rows = min(step, height - y)
            let image = try band(y, rows)
            guard image.width == width, image.height == rows else {
                throw RasterError(
                    .mismatch, "a band of \(image.width)×\(image.height) pixels was given for \(width)×\(rows)")
            }
            try put(image, row: y / step, into: tiff, url)
            PyramidTIFF.reduce(image, by: factor, into: &lower, atRow: y / factor)
        }
        try finish(tiff, url)
        var level = 1
        while max(lower.width, lower.height) > 64 {
            try begin(
                tiff, width: lower.width, height: lower.height, level: level, quality: quality, description: description
            )
            for y in stride(from: 0, to: lower.height, by: step) {
                try put(
                    lower.cropped(x: 0, y: y, width: lower.width, height: min(step, lower.height - y)), row: y / step,
                    into: tiff, url)
            }
            try finish(tiff, url)
            if max(lower.width, lower.height) / factor <= 64 { break }
            var next = RGBImage(width: max(1, lower.width / factor), height: max(1, lower.height / factor))
            PyramidTIFF.reduce(lower, by: factor, into: &next, atRow: 0)
            lower = next
            level += 1
        }
        TIFFClose(tiff)
        isOpen = false
        try AtomicFile.rename(written, to: url)
    }

    private func begin(
        _ tiff: OpaquePointer, width: Int, height: Int, level: Int, quality: Int, description: String
    ) throws {
        let mpp = micronsPerPixel * Double(self.width) / Double(width)
        let vendor =
            "Aperio Image Library, written by Graticule\n\(self.width)x\(self.height) [0,0 \(width)x\(height)] "
            + "(\(PyramidTIFF.tileSide)x\(PyramidTIFF.tileSide)) JPEG/RGB Q=\(quality)|AppMag = "
            + "\(Int((10 / micronsPerPixel).rounded()))|MPP = \(micronsPerPixel)|Description = \(description)"
        let side = UInt32(PyramidTIFF.tileSide)
        let calls: [Int32] = [
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_IMAGEWIDTH), UInt32(width)),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_IMAGELENGTH), UInt32(height)),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_SUBFILETYPE), level == 0 ? 0 : UInt32(FILETYPE_REDUCEDIMAGE)),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_BITSPERSAMPLE), 8),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_SAMPLESPERPIXEL), 3),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_PLANARCONFIG), UInt16(PLANARCONFIG_CONTIG)),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_TILEWIDTH), side),
            graticule_tiff_set_u32(tiff, UInt32(TIFFTAG_TILELENGTH), side),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_COMPRESSION), UInt16(COMPRESSION_JPEG)),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_PHOTOMETRIC), UInt16(PHOTOMETRIC_YCBCR)),
            graticule_tiff_set_subsampling(tiff, 1, 1),
            graticule_tiff_set_i32(tiff, UInt32(TIFFTAG_JPEGQUALITY), Int32(quality)),
            graticule_tiff_set_i32(tiff, UInt32(TIFFTAG_JPEGCOLORMODE), JPEGCOLORMODE_RGB),
            graticule_tiff_set_u16(tiff, UInt32(TIFFTAG_RESOLUTIONUNIT), UInt16(RESUNIT_CENTIMETER)),
            graticule_tiff_set_float(tiff, UInt32(TIFFTAG_XRESOLUTION), 10_000 / mpp),
            graticule_tiff_set_float(tiff, UInt32(TIFFTAG_YRESOLUTION), 10_000 / mpp),
            graticule_tiff_set_string(tiff, UInt32(TIFFTAG_IMAGEDESCRIPTION), vendor),
        ]
        guard calls.allSatisfy({ $0 != 0 }) else {
            throw RasterError(.unwritable, "cannot write a TIFF header: \(String(cString: graticule_tiff_error()))")
        }
    }

    private func put(_ band: RGBImage, row: Int, into tiff: OpaquePointer, _ url: URL) throws {
        let side = PyramidTIFF.tileSide
        for x in stride(from: 0, to: band.width, by: side) {
            var tile = band.cropped(x: x, y: 0, width: side, height: side)
            let written = tile.pixels.withUnsafeMutableBytes { bytes in
                TIFFWriteTile(tiff, bytes.baseAddress, UInt32(x), UInt32(row * side), 0, 0)
            }
            guard written >= 0 else {
                throw RasterError(.unwritable, "cannot write \(url.path): \(String(cString: graticule_tiff_error()))")
            }
        }
    }

    private func finish(_ tiff: OpaquePointer, _ url: URL) throws {
        guard TIFFWriteDirectory(tiff) != 0 else {
            throw RasterError(.unwritable, "cannot write \(url.path): \(String(cString: graticule_tiff_error()))")
        }
    }

    /// Averages squares of `factor` pixels into the rows of `target` from `row` on.
    static func reduce(_ image: RGBImage, by factor: Int, into target: inout RGBImage, atRow row: Int) {
        let half = factor * factor / 2
        for y in 0..<(image.height / factor) where row + y < target.height {
            for x in 0..<min(target.width, image.width / factor) {
                var sum = (half, half, half)
                for dy in 0..<factor {
                    var i = 3 * ((y * factor + dy) * image.width + x * factor)
                    for _ in 0..<factor {
                        sum.0 += Int(image.pixels[i])
                        sum.1 += Int(image.pixels[i + 1])
                        sum.2 += Int(image.pixels[i + 2])
                        i += 3
                    }
                }
                let area = factor * factor
                target[x, row + y] = (UInt8(sum.0 / area), UInt8(sum.1 / area), UInt8(sum.2 / area))
            }
        }
    }
}
