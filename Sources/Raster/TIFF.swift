internal import CTIFF
public import Failures
public import Foundation

/// Reads TIFF images through libtiff's RGBA interface, which knows every layout and compression that libtiff does.
public enum TIFF {
    /// The first image as one value a pixel: the largest of red, green and blue.
    ///
    /// - Throws: ``RasterError`` where the file is missing, broken, of more than 8 bits a sample, or larger than what ``PNG``
    ///   reads.
    public static func readGray(_ url: URL) throws(RasterError) -> Plane<UInt8> {
        var plane = Plane<UInt8>(width: 0, height: 0, values: [])
        try read(url, mostPixels: PNG.mostPixels) { width, height in
            plane = Plane(width: width, height: height, repeating: 0)
        } pixel: { index, value in
            plane.values[index] = UInt8(max(value & 0xff, value >> 8 & 0xff, value >> 16 & 0xff))
        }
        return plane
    }

    /// The first image in colour; transparent pixels are laid over white.
    ///
    /// - Throws: as ``readGray(_:)``, or where it has more than `mostPixels`.
    public static func readRGB(_ url: URL, mostPixels: Int = PNG.mostPixels) throws(RasterError) -> RGBImage {
        var image = RGBImage(width: 0, height: 0)
        try read(url, mostPixels: mostPixels) { width, height in
            image = RGBImage(width: width, height: height)
        } pixel: { index, value in
            // libtiff gives colours premultiplied by alpha.
            let rest = 255 - (value >> 24)
            for c in 0..<3 { image.pixels[3 * index + c] = UInt8(min(255, (value >> UInt32(8 * c) & 0xff) + rest)) }
        }
        return image
    }

    /// Goes through the pixels strip by strip or tile by tile, so that memory holds one of these beside the result.
    ///
    /// - Parameter pixel: gets the place, row by row from the top left, and the colour as ABGR.
    private static func read(
        _ url: URL, mostPixels: Int, begin: (_ width: Int, _ height: Int) -> Void,
        pixel: (_ index: Int, _ value: UInt32) -> Void
    ) throws(RasterError) {
        graticule_tiff_install_handlers()
        try FileData.checkRegular(url)
        func failure(_ reason: String? = nil) -> RasterError {
            RasterError(
                .unreadable, "cannot read TIFF \(url.path): \(reason ?? String(cString: graticule_tiff_error()))")
        }
        guard let tiff = TIFFOpen(url.path, "r") else { throw failure() }
        defer { TIFFClose(tiff) }
        var (width, height): (UInt32, UInt32) = (0, 0)
        guard graticule_tiff_size(tiff, &width, &height) != 0, width > 0, height > 0 else {
            throw failure("it does not say how large it is")
        }
        guard Int(width) * Int(height) <= mostPixels else { throw failure("\(width)×\(height) pixels are too many") }
        // The RGBA interface keeps the high byte only: small values of a 16-bit mask would all become 0.
        guard graticule_tiff_bits(tiff) <= 8 else {
            throw failure("it has \(graticule_tiff_bits(tiff)) bits a sample, 8 are the most")
        }
        // libtiff turns the pixels within each strip or tile instead of the image.
        let orientation = number(tiff, TIFFTAG_ORIENTATION)
        guard orientation <= 1 else {
            throw failure("it is stored turned or mirrored (orientation \(orientation)): save it upright")
        }
        let isTiled = TIFFIsTiled(tiff) != 0
        let (stepX, stepY) =
            isTiled
            ? (number(tiff, TIFFTAG_TILEWIDTH), number(tiff, TIFFTAG_TILELENGTH))
            : (Int(width), min(Int(height), number(tiff, TIFFTAG_ROWSPERSTRIP)))
        guard stepX > 0, stepY > 0, stepX <= mostPart, stepY <= mostPart, stepX * stepY <= mostPart else {
            throw failure("its strips or tiles of \(stepX)×\(stepY) pixels are too large")
        }
        begin(Int(width), Int(height))
        var part = [UInt32](repeating: 0, count: stepX * stepY)
        for y in stride(from: 0, to: Int(height), by: stepY) {
            for x in stride(from: 0, to: Int(width), by: stepX) {
                let isRead =
                    isTiled
                    ? TIFFReadRGBATile(tiff, UInt32(x), UInt32(y), &part)
                    : TIFFReadRGBAStrip(tiff, UInt32(y), &part)
                guard isRead != 0 else { throw failure() }
                // Rows come from the bottom up; a tile at an edge is whole, a last strip as high as what is left.
                let (columns, rows) = (min(stepX, Int(width) - x), min(stepY, Int(height) - y))
                let last = (isTiled ? stepY : rows) - 1
                for row in 0..<rows {
                    let (source, target) = ((last - row) * stepX, (y + row) * Int(width) + x)
                    for column in 0..<columns { pixel(target + column, part[source + column]) }
                }
            }
        }
    }

    private static func number(_ tiff: OpaquePointer, _ tag: Int32) -> Int {
        Int(graticule_tiff_number(tiff, UInt32(tag)))
    }

    /// Pixels of a strip or tile that are read at once.
    private static let mostPart = 1 << 25

    /// One image of a TIFF file as its directory describes it.
    public struct Page: Equatable, Sendable {
        public let width: Int
        public let height: Int
        /// 0 where the image is in strips.
        public let tileWidth: Int
        public let tileHeight: Int
        /// Whether its pixels are kept by JPEG or JPEG 2000, which decode their tiles by themselves.
        public let isJPEG: Bool
        /// 1, or 0 where it does not say, is upright; others are turned or mirrored.
        public let orientation: Int
    }

    /// The images of a file, at most 256; none where it is no TIFF that libtiff opens.
    public static func pages(_ url: URL) -> [Page] {
        graticule_tiff_install_handlers()
        guard let tiff = TIFFOpen(url.path, "r") else { return [] }
        defer { TIFFClose(tiff) }
        var pages: [Page] = []
        repeat {
            var (width, height): (UInt32, UInt32) = (0, 0)
            guard graticule_tiff_size(tiff, &width, &height) != 0 else { continue }
            let isTiled = TIFFIsTiled(tiff) != 0
            let compression = number(tiff, TIFFTAG_COMPRESSION)
            pages.append(
                Page(
                    width: Int(width), height: Int(height),
                    tileWidth: isTiled ? number(tiff, TIFFTAG_TILEWIDTH) : 0,
                    tileHeight: isTiled ? number(tiff, TIFFTAG_TILELENGTH) : 0,
                    isJPEG: [6, 7, 33003, 33004, 33005, 34712].contains(compression),
                    orientation: number(tiff, TIFFTAG_ORIENTATION)))
        } while pages.count < 256 && TIFFReadDirectory(tiff) != 0
        return pages
    }
}
