internal import CPNG
public import Foundation

/// Reads and writes PNG files through libpng's simplified interface.
public enum PNG {
    /// The most pixels that are read: a header of an absurd size must not take the memory of the machine.
    static let mostPixels = 1 << 28

    /// Bits a channel, from the header.
    ///
    /// - Throws: ``RasterError`` where the file is missing or no PNG.
    public static func bitDepth(_ url: URL) throws(RasterError) -> Int {
        // Signature, length and name of the header, width and height: 24 bytes before it.
        guard let handle = FileHandle(forReadingAtPath: url.path), let start = try? handle.read(upToCount: 25),
            start.count == 25, start.starts(with: [0x89, 0x50, 0x4e, 0x47])
        else { throw RasterError(.unreadable, "cannot read PNG \(url.path): no such file, or no PNG") }
        return Int(start[24])
    }

    public static func readRGB(_ url: URL) throws(RasterError) -> RGBImage {
        let (width, height, bytes) = try read(url, channels: 3)
        return RGBImage(width: width, height: height, pixels: bytes)
    }

    public static func readGray(_ url: URL) throws(RasterError) -> Plane<UInt8> {
        let (width, height, bytes) = try read(url, channels: 1)
        return Plane(width: width, height: height, values: bytes)
    }

    public static func write(_ image: RGBImage, to url: URL) throws(RasterError) {
        try write(image.pixels, channels: 3, width: image.width, height: image.height, to: url)
    }

    public static func write(_ image: Plane<UInt8>, to url: URL) throws(RasterError) {
        try write(image.values, channels: 1, width: image.width, height: image.height, to: url)
    }

    /// A PNG with transparency in memory.
    ///
    /// - Parameter rgba: four bytes a pixel, colours not premultiplied.
    public static func encoded(rgba: [UInt8], width: Int, height: Int) throws(RasterError) -> Data {
        precondition(rgba.count == 4 * width * height, "there are four bytes a pixel")
        var bytes: UnsafeMutablePointer<UInt8>?
        let size = graticule_png_encode_rgba(Int32(width), Int32(height), rgba, &bytes)
        defer { free(bytes) }
        guard size > 0, let bytes else { throw RasterError(.unwritable, "cannot encode a PNG") }
        return Data(bytes: bytes, count: size)
    }

    private static func read(_ url: URL, channels: Int32) throws(RasterError) -> (Int, Int, [UInt8]) {
        var message = [CChar](repeating: 0, count: 128)
        var width: Int32 = 0
        var height: Int32 = 0
        func failure() -> RasterError {
            let reason = message.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
            return RasterError(.unreadable, "cannot read PNG \(url.path): \(reason)")
        }
        guard graticule_png_read(url.path, channels, &width, &height, nil, 0, &message, message.count) != 0 else {
            throw failure()
        }
        guard width > 0, height > 0, Int(width) * Int(height) <= mostPixels else {
            throw RasterError(.unreadable, "cannot read PNG \(url.path): \(width)×\(height) pixels are too many")
        }
        var bytes = [UInt8](repeating: 0, count: Int(width) * Int(height) * Int(channels))
        guard
            graticule_png_read(url.path, channels, &width, &height, &bytes, bytes.count, &message, message.count) != 0
        else { throw failure() }
        return (Int(width), Int(height), bytes)
    }

    private static func write(
        _ bytes: [UInt8], channels: Int32, width: Int, height: Int, to url: URL
    ) throws(RasterError) {
        var message = [CChar](repeating: 0, count: 128)
        let written = AtomicFile.temporaryName(for: url)
        guard
            graticule_png_write(written.path, channels, Int32(width), Int32(height), bytes, &message, message.count)
                != 0
        else {
            let reason = message.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
            try? FileManager.default.removeItem(at: written)
            throw RasterError(.unwritable, "cannot write PNG \(url.path): \(reason)")
        }
        try AtomicFile.rename(written, to: url)
    }
}
