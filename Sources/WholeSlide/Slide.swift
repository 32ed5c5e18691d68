internal import COpenSlide
public import Failures
public import Foundation
public import Raster
internal import Synchronization

/// A whole-slide image opened through OpenSlide.
///
/// A handle that has failed stays failed in OpenSlide, so after an unreadable region the file is opened anew: the next
/// region may well be sound.
public final class Slide: Sendable {
    /// One resolution of the pyramid.
    public struct Level: Equatable, Sendable {
        public let width: Int
        public let height: Int
        /// Level-0 pixels per pixel of this level.
        public let downsample: Double
        /// The level's number in the file, which OpenSlide goes by; levels that are left out have none here.
        let number: Int32

        init(width: Int, height: Int, downsample: Double, number: Int32 = 0) {
            self.width = width
            self.height = height
            self.downsample = downsample
            self.number = number
        }
    }

    public let url: URL
    /// The file name without its extension: the name under which results and heatmaps refer to the slide.
    public let name: String
    public let vendor: String
    /// The levels that can be trusted, the full resolution first.
    public let levels: [Level]
    /// Why levels of the file were left out, a sentence each.
    public let leftOutLevels: [String]
    /// What the file was when it was opened.
    let stamp: FileStamp
    /// OpenSlide's property names and values.
    public let properties: [String: String]
    private let handle: Mutex<Handle>

    /// Owns one `openslide_t`, and closes it when its last reader has let go of it.
    ///
    /// `@unchecked Sendable`: OpenSlide documents `openslide_t` as safe for concurrent use, and the pointer never changes.
    private final class Handle: @unchecked Sendable {
        let pointer: OpaquePointer

        init?(_ path: String) {
            guard let pointer = openslide_open(path) else { return nil }
            self.pointer = pointer
        }

        deinit {
            openslide_close(pointer)
        }

        var error: String? { openslide_get_error(pointer).map { String(cString: $0) } }
    }

    /// The size of level 0 in pixels.
    public var width: Int { levels[0].width }
    public var height: Int { levels[0].height }

    /// Opens a slide.
    ///
    /// - Throws: ``SlideError`` with the file's name where it is missing, empty or no slide.
    public init(_ url: URL) throws(SlideError) {
        self.url = url
        name = SlideFile.name(of: url)
        guard let stamp = FileStamp(url) else {
            throw SlideError(.unopenable, "cannot open slide \(url.path): no such file")
        }
        // A pipe or a device would be waited for without end.
        guard stamp.isRegular else {
            throw SlideError(.unopenable, "cannot open slide \(url.path): it is no regular file")
        }
        guard stamp.size > 0 else { throw SlideError(.unopenable, "cannot open slide \(url.path): the file is empty") }
        self.stamp = stamp
        guard let handle = Handle(url.path) else {
            throw SlideError(
                .unopenable,
                "cannot open slide \(url.path): it is cut off, or no format that OpenSlide \(Slide.libraryVersion) reads"
            )
        }
        var levels: [Level] = []
        var properties: [String: String] = [:]
        var failure = handle.error
        if failure == nil {
            for level in 0..<max(0, openslide_get_level_count(handle.pointer)) {
                var (width, height): (Int64, Int64) = (0, 0)
                openslide_get_level_dimensions(handle.pointer, level, &width, &height)
                levels.append(
                    Level(
                        width: Int(width), height: Int(height),
                        downsample: openslide_get_level_downsample(handle.pointer, level), number: level))
            }
            properties = Slide.properties(of: handle.pointer)
            failure = handle.error
        }
        self.properties = properties
        vendor = properties["openslide.vendor"] ?? "unknown"
        if let failure {
            throw SlideError(.unopenable, "cannot open slide \(url.path)", detail: failure)
        }
        // OpenSlide takes sizes from file headers. The largest scans are 10¹⁰ to 10¹¹ px; a header that promises far more
        // would only make us allocate memory for it.
        guard let base = levels.first, base.width > 0, base.height > 0, base.width < 1 << 24, base.height < 1 << 24,
            base.width * base.height <= 1 << 38,
            base.downsample.isFinite
        else {
            throw SlideError(.unopenable, "cannot open slide \(url.path): its header gives impossible dimensions")
        }
        let check = LevelCheck(url: url, levels: levels) { level, x, y, width, height in
            Slide.pixels(of: handle, level: level, levelX: x, levelY: y, width: width, height: height).image
        }
        (self.levels, leftOutLevels) = try check.result()
        // A level that cannot be decoded has failed its handle.
        self.handle = Mutex(handle.error != nil ? Handle(url.path) ?? handle : handle)
    }

    /// The version of the OpenSlide library in use.
    public static var libraryVersion: String { openslide_get_version().map { String(cString: $0) } ?? "unknown" }

    private static func properties(of handle: OpaquePointer) -> [String: String] {
        var result: [String: String] = [:]
        guard var name = openslide_get_property_names(handle) else { return result }
        while let pointer = name.pointee {
            if let value = openslide_get_property_value(handle, pointer) {
                result[String(cString: pointer)] = String(cString: value)
            }
            name += 1
        }
        return result
    }

    /// Reads a rectangle of one level, over white where the slide has no pixels.
    ///
    /// - Parameters:
    ///   - levelX: left edge in pixels of that level; may lie outside the slide.
    ///   - levelY: top edge in pixels of that level.
    /// - Throws: ``SlideError`` where the pixels cannot be decoded; other regions can still be read.
    public func read(level: Int, levelX: Int, levelY: Int, width: Int, height: Int) throws(SlideError) -> RGBImage {
        let place = levels[level]
        func attempt(_ handle: Handle) -> (image: RGBImage?, failure: String?) {
            Slide.pixels(of: handle, level: place, levelX: levelX, levelY: levelY, width: width, height: height)
        }
        let shared = handle.withLock { $0 }
        var result = attempt(shared)
        if let image = result.image { return image }
        replace(shared)
        // A handle fails for good, also under threads that read sound regions at the time: only what fails on a handle of
        // its own too is unreadable.
        if let own = Handle(url.path) { result = attempt(own) }
        if let image = result.image { return image }
        throw SlideError(
            .unreadable, "cannot read slide \(url.path) at level \(level), (\(levelX), \(levelY))",
            detail: result.failure)
    }

    /// Reads on a handle; without an image where it could not, with OpenSlide's reason.
    private static func pixels(
        of handle: Handle, level: Level, levelX: Int, levelY: Int, width: Int, height: Int
    ) -> (image: RGBImage?, failure: String?) {
        var buffer = [UInt32](repeating: 0, count: width * height)
        buffer.withUnsafeMutableBufferPointer { pixels in
            openslide_read_region(
                handle.pointer, pixels.baseAddress, Int64((Double(levelX) * level.downsample).rounded()),
                Int64((Double(levelY) * level.downsample).rounded()), level.number, Int64(width), Int64(height))
        }
        if let failure = handle.error { return (nil, failure) }
        return (overWhite(buffer, width: width, height: height), nil)
    }

    /// Opens the file anew in place of a handle that has failed, unless another thread has done so.
    private func replace(_ failed: Handle) {
        guard handle.withLock({ $0 === failed }), let fresh = Handle(url.path), fresh.error == nil else { return }
        handle.withLock { if $0 === failed { $0 = fresh } }
    }

    /// A picture beside the slide: label, macro or thumbnail.
    func readAssociatedImage(_ name: String) throws(SlideError) -> RGBImage {
        let handle = self.handle.withLock { $0 }
        var (width, height): (Int64, Int64) = (-1, -1)
        openslide_get_associated_image_dimensions(handle.pointer, name, &width, &height)
        guard width > 0, height > 0, width * height <= 1 << 26 else {
            throw SlideError(.unreadable, "slide \(url.path) has no readable image '\(name)'")
        }
        var buffer = [UInt32](repeating: 0, count: Int(width * height))
        openslide_read_associated_image(handle.pointer, name, &buffer)
        if let error = handle.error {
            replace(handle)
            throw SlideError(.unreadable, "cannot read image '\(name)' of slide \(url.path)", detail: error)
        }
        return Slide.overWhite(buffer, width: Int(width), height: Int(height))
    }

    private static func overWhite(_ buffer: [UInt32], width: Int, height: Int) -> RGBImage {
        var image = RGBImage(width: width, height: height)
        image.pixels.withUnsafeMutableBufferPointer { target in
            buffer.withUnsafeBufferPointer { source in
                for i in 0..<source.count {
                    // Premultiplied ARGB over white: c + (255 − a).
                    let pixel = source[i]
                    let rest = 255 - (pixel >> 24)
                    target[3 * i] = UInt8(truncatingIfNeeded: min(255, (pixel >> 16 & 0xff) + rest))
                    target[3 * i + 1] = UInt8(truncatingIfNeeded: min(255, (pixel >> 8 & 0xff) + rest))
                    target[3 * i + 2] = UInt8(truncatingIfNeeded: min(255, (pixel & 0xff) + rest))
                }
            }
        }
        return image
    }
}
