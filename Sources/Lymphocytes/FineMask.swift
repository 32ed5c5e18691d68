public import Foundation
internal import Raster
internal import WholeSlide

/// A slide's fine labels: a mask at level 0, non-zero where there is lymphocyte.
public struct FineMask: Sendable {
    let pixels: Plane<UInt8>

    private static let extensions: Set<String> = ["png", "tif", "tiff"]

    /// The mask files of a folder.
    ///
    /// - Throws: ``WorkError`` where there are none.
    static func files(in folder: URL) throws -> [URL] {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { extensions.contains(($0 as NSString).pathExtension.lowercased()) && !$0.hasPrefix(".") }.sorted()
        guard !names.isEmpty else {
            throw WorkError(.input, "folder \(folder.path) holds no masks (<slide>.png or <slide>.tif)")
        }
        return names.map { folder.appendingPathComponent($0) }
    }

    /// What the slide of a mask may be called: its file's name less the extension, less what follows each of its points.
    /// The longest comes first, since slides' own names may have points.
    static func slideNames(of file: URL) -> [String] {
        var parts = file.deletingPathExtension().lastPathComponent.split(
            separator: ".", omittingEmptySubsequences: false)
        var names: [String] = []
        while !parts.isEmpty {
            names.append(parts.joined(separator: "."))
            parts.removeLast()
        }
        return names
    }

    /// The mask of a slide: `<slide>.png`, `<slide>.lymphocytes.png` and the like.
    ///
    /// - Throws: where there is none or more than one, or it cannot be read.
    public init(forSlideNamed name: String, in folder: URL) throws {
        let found = try FineMask.files(in: folder).filter { FineMask.slideNames(of: $0).contains(name) }
        guard let file = found.first else {
            throw WorkError(
                .input, "slide \(name) has no mask in \(folder.path) (looked for \(name).png or \(name).tif)")
        }
        guard found.count == 1 else {
            throw WorkError(
                .input,
                "slide \(name) has several masks in \(folder.path): \(found.map(\.lastPathComponent).joined(separator: ", "))"
            )
        }
        try self.init(file)
    }

    /// Reads a mask; in one of colours every pixel that is not black counts.
    public init(_ url: URL) throws {
        guard url.pathExtension.lowercased() == "png" else {
            pixels = try TIFF.readGray(url)
            return
        }
        // Read as 8 bits, small values of a 16-bit mask would all become 0.
        guard (try? PNG.bitDepth(url)) ?? 8 <= 8 else {
            throw WorkError(.input, "mask \(url.path) has 16 bits a channel: save it with 8")
        }
        let image = try PNG.readRGB(url)
        pixels = Plane(
            width: image.width, height: image.height,
            values: (0..<(image.width * image.height)).map {
                max(image.pixels[3 * $0], image.pixels[3 * $0 + 1], image.pixels[3 * $0 + 2])
            })
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
