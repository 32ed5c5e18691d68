public import Foundation
internal import Raster
internal import WholeSlide

/// A slide's fine labels: a mask at level 0, non-zero where there is lymphocyte.
public struct FineMask: Sendable {
    let pixels: Plane<UInt8>

    private static let extensions: Set<String> = ["png", "tif", "tiff"]

    /// The masks of a folder by the name of their slide, which is the file's up to its first point.
    ///
    /// - Throws: ``WorkError`` where there are none.
    public static func files(in folder: URL) throws -> [(slide: String, url: URL)] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { extensions.contains(($0 as NSString).pathExtension.lowercased()) && !$0.hasPrefix(".") }.sorted()
        guard !names.isEmpty else {
            throw WorkError(.input, "folder \(folder.path) holds no masks (<slide>.png or <slide>.tif)")
        }
        return names.map { (String($0.prefix { $0 != "." }), folder.appendingPathComponent($0)) }
    }

    /// The mask of a slide: `<slide>.png`, `<slide>.lymphocytes.png` and the like.
    ///
    /// - Throws: where there is none or it cannot be read.
    public init(forSlideNamed name: String, in folder: URL) throws {
        guard let file = try FineMask.files(in: folder).first(where: { $0.slide == name }) else {
            throw WorkError(
                .input, "slide \(name) has no mask in \(folder.path) (looked for \(name).png or \(name).tif)")
        }
        try self.init(file.url)
    }

    /// Reads a mask.
    public init(_ url: URL) throws {
        pixels = try url.pathExtension.lowercased() == "png" ? PNG.readGray(url) : TIFF.readGray(url)
    }

    /// Checks that the mask is as large as its slide.
    func check(fits slide: Slide) throws {
        guard pixels.width == slide.width, pixels.height == slide.height else {
            throw WorkError(
                .input,
                "the mask of \(slide.name) has \(pixels.width)×\(pixels.height) px, the slide \(slide.width)×\(slide.height): masks must be at level 0"
            )
        }
    }

    /// Whether a level-0 pixel is lymphocyte; nil beyond the mask.
    func isLymphocyte(level0X x: Double, level0Y y: Double) -> Bool? {
        guard x >= 0, y >= 0, x < Double(pixels.width), y < Double(pixels.height) else { return nil }
        return pixels[Int(x), Int(y)] != 0
    }
}
