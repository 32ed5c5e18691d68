internal import BatchWork
internal import Failures
public import Foundation
internal import Raster
public import WholeSlide

/// A slide's fine labels: a mask at level 0, non-zero where there is lymphocyte.
public struct FineMask: Sendable {
    let pixels: Plane<UInt8>

    private static let extensions: Set<String> = ["png", "tif", "tiff"]

    /// The mask files of a folder.
    ///
    /// - Throws: ``InputError`` where there are none.
    static func files(in folder: URL) throws -> [URL] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { extensions.contains(($0 as NSString).pathExtension.lowercased()) && !$0.hasPrefix(".") }.sorted()
        guard !names.isEmpty else {
            throw InputError(.unusable, "folder \(folder.path) holds no masks (<slide>.png or <slide>.tif)")
        }
        return names.map { folder.appendingPathComponent($0) }
    }

    /// What the slide of a mask may be called: its file's name less the extension, and less `.lymphocytes` or `.mask`.
    static func slideNames(of file: URL) -> [String] {
        let name = SlideFile.name(of: file)
        return [name] + [".lymphocytes", ".mask"].filter { name.hasSuffix($0) }.map { String(name.dropLast($0.count)) }
    }

    /// The mask of a slide: `<slide>.png`, `<slide>.lymphocytes.png` and the like.
    ///
    /// - Throws: where there is none or more than one, or it cannot be read.
    public init(for slide: SlideFile, in folder: URL) throws {
        guard let file = try FilePairing(slide, in: folder).fineMask() else {
            throw InputError(
                .unusable,
                "slide \(slide.name) has no mask in \(folder.path) (looked for \(slide.name).png or \(slide.name).tif)")
        }
        try self.init(file)
    }

    /// Reads a mask; in one of colours every pixel that is not black counts.
    public init(_ url: URL) throws {
        guard url.pathExtension.lowercased() == "png" else {
            pixels = try TIFF.readGray(url)
            return
        }
        pixels = try PNG.readLargest(url)
    }

    /// Checks that the mask is as large as its slide.
    func check(fits slide: Slide) throws {
        guard pixels.width == slide.width, pixels.height == slide.height else {
            throw InputError(
                .unusable,
                "the mask of \(slide.name) has \(pixels.width)×\(pixels.height) px, the slide \(slide.width)×\(slide.height): masks must be at level 0"
            )
        }
    }

    /// Whether a level-0 pixel is lymphocyte; nil beyond the mask.
    package func isLymphocyte(level0X x: Double, level0Y y: Double) -> Bool? {
        guard x >= 0, y >= 0, x < Double(pixels.width), y < Double(pixels.height) else { return nil }
        return pixels[Int(x), Int(y)] != 0
    }
}
