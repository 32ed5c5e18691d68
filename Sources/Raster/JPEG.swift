internal import CTurboJPEG
public import Failures
public import Foundation

/// Reads and writes JPEG through libjpeg-turbo.
public enum JPEG {
    /// No picture of ``PNG/mostPixels`` takes more.
    private static let mostBytes = 256 << 20

    public static func readRGB(_ url: URL, mostPixels: Int = PNG.mostPixels) throws(RasterError) -> RGBImage {
        let data = try FileData.read(url, mostBytes: mostBytes)
        guard let decoder = tjInitDecompress() else {
            throw RasterError(.unreadable, "cannot read JPEG \(url.path): no memory for a decoder")
        }
        defer { tjDestroy(decoder) }
        let bytes = [UInt8](data)
        var (width, height, subsampling, colorspace): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
        func failure() -> RasterError {
            RasterError(.unreadable, "cannot read JPEG \(url.path): \(String(cString: tjGetErrorStr2(decoder)))")
        }
        guard
            tjDecompressHeader3(decoder, bytes, UInt(bytes.count), &width, &height, &subsampling, &colorspace) == 0
        else { throw failure() }
        guard width > 0, height > 0, Int(width) * Int(height) <= mostPixels else {
            throw RasterError(.unreadable, "cannot read JPEG \(url.path): \(width)×\(height) pixels are too many")
        }
        var pixels = [UInt8](repeating: 0, count: 3 * Int(width) * Int(height))
        guard
            tjDecompress2(
                decoder, bytes, UInt(bytes.count), &pixels, width, 0, height, Int32(TJPF_RGB.rawValue),
                Int32(TJFLAG_ACCURATEDCT)) == 0
        else { throw failure() }
        return RGBImage(width: Int(width), height: Int(height), pixels: pixels)
    }

    /// Writes without chroma subsampling, since stain colours carry the information.
    public static func write(_ image: RGBImage, quality: Int = 92, to url: URL) throws(RasterError) {
        do {
            try AtomicFile.write(try encoded(image, quality: quality, subsamplesChroma: false), to: url)
        } catch let error {
            guard error.code == .unwritable else { throw error }
            throw RasterError(.unwritable, "cannot write JPEG \(url.path): \(error.message)", cause: error)
        }
    }

    /// A JPEG in memory.
    ///
    /// - Parameter subsamplesChroma: halves the resolution of colour, as most viewers' tiles do: a third smaller and faster.
    public static func encoded(_ image: RGBImage, quality: Int, subsamplesChroma: Bool) throws(RasterError) -> Data {
        guard let encoder = tjInitCompress() else {
            throw RasterError(.unwritable, "no memory for a JPEG encoder")
        }
        defer { tjDestroy(encoder) }
        var buffer: UnsafeMutablePointer<UInt8>?
        var size: UInt = 0
        defer { tjFree(buffer) }
        guard
            tjCompress2(
                encoder, image.pixels, Int32(image.width), 0, Int32(image.height), Int32(TJPF_RGB.rawValue), &buffer,
                &size, Int32((subsamplesChroma ? TJSAMP_420 : TJSAMP_444).rawValue), Int32(quality), 0) == 0, let buffer
        else { throw RasterError(.unwritable, "cannot encode JPEG: \(String(cString: tjGetErrorStr2(encoder)))") }
        return Data(bytes: buffer, count: Int(size))
    }
}
