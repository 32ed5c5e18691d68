internal import CPNG
public import Failures
public import Foundation

/// Reads PNG files as numbers, and writes them through libpng's simplified interface.
public enum PNG {
    /// The most pixels that are read: a header of an absurd size must not take the memory of the machine.
    public static let mostPixels = 1 << 28

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

    /// The colours as the file's own numbers, 8 bits a channel; grey is repeated, transparent pixels are laid over white.
    ///
    /// No gamma or colour profile is applied: the same file gives the same numbers whatever it says of a screen.
    ///
    /// - Throws: ``RasterError`` where the file is missing, no PNG, cut off or larger than `mostPixels`.
    public static func readRGB(_ url: URL, mostPixels: Int = PNG.mostPixels) throws(RasterError) -> RGBImage {
        var image = RGBImage(width: 0, height: 0)
        try read(url, mostPixels: mostPixels) { width, height in
            image = RGBImage(width: width, height: height)
        } row: { y, bytes, channels in
            let start = 3 * y * image.width
            for x in 0..<image.width {
                let pixel = channels * x
                let alpha = channels % 2 == 0 ? Int(bytes[pixel + channels - 1]) : 255
                for c in 0..<3 {
                    let value = Int(bytes[pixel + (channels >= 3 ? c : 0)])
                    image.pixels[start + 3 * x + c] = UInt8((value * alpha + 255 * (255 - alpha) + 127) / 255)
                }
            }
        }
        return image
    }

    /// One number a pixel: the largest of its channels, 0 where it is transparent. For masks, in which any number but 0 counts.
    ///
    /// - Throws: as ``readRGB(_:mostPixels:)``, and for 16 bits a channel, of which small numbers would become 0.
    public static func readLargest(_ url: URL, mostPixels: Int = PNG.mostPixels) throws(RasterError) -> Plane<UInt8> {
        guard try bitDepth(url) <= 8 else {
            throw RasterError(.unreadable, "PNG \(url.path) has 16 bits a channel: save it with 8")
        }
        var plane = Plane<UInt8>(width: 0, height: 0, values: [])
        try read(url, mostPixels: mostPixels) { width, height in
            plane = Plane(width: width, height: height, repeating: 0)
        } row: { y, bytes, channels in
            let start = y * plane.width
            for x in 0..<plane.width {
                let pixel = channels * x
                guard channels % 2 == 1 || bytes[pixel + channels - 1] > 0 else { continue }
                var most = bytes[pixel]
                if channels >= 3 { most = max(most, bytes[pixel + 1], bytes[pixel + 2]) }
                plane.values[start + x] = most
            }
        }
        return plane
    }

    /// The rows of an image of data: red, green, blue and alpha of each pixel as the file's own numbers.
    ///
    /// - Parameter row: gets the row's number and 4 · width bytes; alpha is 255 where the file has none.
    public static func readNumbers(
        _ url: URL, mostPixels: Int, begin: (_ width: Int, _ height: Int) -> Void, row take: (Int, [UInt8]) -> Void
    ) throws(RasterError) {
        var numbers: [UInt8] = []
        try read(url, mostPixels: mostPixels) { width, height in
            numbers = [UInt8](repeating: 255, count: 4 * width)
            begin(width, height)
        } row: { y, bytes, channels in
            for x in 0..<(numbers.count / 4) {
                for c in 0..<3 { numbers[4 * x + c] = bytes[channels * x + (channels >= 3 ? c : 0)] }
                if channels % 2 == 0 { numbers[4 * x + 3] = bytes[channels * x + channels - 1] }
            }
            take(y, numbers)
        }
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

    /// Goes through the rows; an interlaced file is collected first.
    private static func read(
        _ url: URL, mostPixels: Int, begin: (_ width: Int, _ height: Int) -> Void,
        row take: (_ y: Int, _ bytes: UnsafeBufferPointer<UInt8>, _ channels: Int) -> Void
    ) throws(RasterError) {
        var reader = graticule_png()
        func failure() -> RasterError {
            let reason = withUnsafeBytes(of: &reader.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            return RasterError(.unreadable, "cannot read PNG \(url.path): \(reason)")
        }
        try FileData.checkRegular(url)
        guard graticule_png_open(&reader, url.path, mostPixels) != 0 else { throw failure() }
        defer { graticule_png_close(&reader) }
        let (width, height, channels) = (Int(reader.width), Int(reader.height), Int(reader.channels))
        guard width > 0, height > 0, (1...4).contains(channels) else { throw failure() }
        let isInterlaced = reader.passes > 1
        let length = width * channels
        var rows = [UInt8](repeating: 0, count: length * (isInterlaced ? height : 1))
        begin(width, height)
        for _ in 0..<max(1, reader.passes) {
            for y in 0..<height {
                let start = isInterlaced ? y * length : 0
                let isRead = rows.withUnsafeMutableBufferPointer { buffer in
                    guard let base = buffer.baseAddress, graticule_png_row(&reader, base + start) != 0 else {
                        return false
                    }
                    if !isInterlaced { take(y, UnsafeBufferPointer(start: base, count: length), channels) }
                    return true
                }
                guard isRead else { throw failure() }
            }
        }
        guard isInterlaced else { return }
        rows.withUnsafeBufferPointer { buffer in
            for y in 0..<height {
                take(y, UnsafeBufferPointer(rebasing: buffer[(y * length)..<((y + 1) * length)]), channels)
            }
        }
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
