internal import CTIFF
public import Foundation

/// Reads TIFF images through libtiff's RGBA interface, which knows every layout and compression that libtiff does.
public enum TIFF {
    /// The first image as one value a pixel: the largest of red, green and blue.
    ///
    /// - Throws: ``RasterError`` where the file is missing, broken, or larger than what ``PNG`` reads.
    public static func readGray(_ url: URL) throws(RasterError) -> Plane<UInt8> {
        graticule_tiff_install_handlers()
        guard let tiff = TIFFOpen(url.path, "r") else {
            throw RasterError(.unreadable, "cannot read TIFF \(url.path): \(String(cString: graticule_tiff_error()))")
        }
        defer { TIFFClose(tiff) }
        var (width, height): (UInt32, UInt32) = (0, 0)
        guard graticule_tiff_size(tiff, &width, &height) != 0, width > 0, height > 0 else {
            throw RasterError(.unreadable, "cannot read TIFF \(url.path): it does not say how large it is")
        }
        let count = Int(width) * Int(height)
        guard count <= PNG.mostPixels else {
            throw RasterError(.unreadable, "cannot read TIFF \(url.path): \(width)×\(height) pixels are too many")
        }
        // The RGBA interface keeps the high byte only: small values of a 16-bit mask would all become 0.
        guard graticule_tiff_bits(tiff) <= 8 else {
            throw RasterError(
                .unreadable,
                "cannot read TIFF \(url.path): it has \(graticule_tiff_bits(tiff)) bits a sample, 8 are the most")
        }
        var pixels = [UInt32](repeating: 0, count: count)
        guard TIFFReadRGBAImageOriented(tiff, width, height, &pixels, ORIENTATION_TOPLEFT, 1) != 0 else {
            throw RasterError(.unreadable, "cannot read TIFF \(url.path): \(String(cString: graticule_tiff_error()))")
        }
        return Plane(
            width: Int(width), height: Int(height),
            values: pixels.map { UInt8(max($0 & 0xff, $0 >> 8 & 0xff, $0 >> 16 & 0xff)) })
    }
}
