internal import BatchWork
internal import Failures
public import Foundation
internal import Raster
public import WholeSlide

/// A slide's fine labels: a mask at level 0, non-zero where there is lymphocyte, or marks that readers made on cells.
public struct FineMask: Sendable {
    private enum Content: Sendable {
        case pixels(Plane<UInt8>)
        case marks([Mark], radius: Double)
    }

    /// A place of which a reader said what it is, level-0 px.
    struct Mark: Sendable, Equatable {
        let x: Double
        let y: Double
        let isLymphocyte: Bool
    }

    private let content: Content

    /// The places that are marked; empty where there is a mask.
    var marks: [Mark] {
        if case .marks(let marks, _) = content { marks } else { [] }
    }

    /// The mask's bytes, or the marks as text: what a checkpoint depends on.
    var identity: [UInt8] {
        switch content {
        case .pixels(let pixels): pixels.values
        case .marks(let marks, let radius): Array("\(radius) \(marks)".utf8)
        }
    }

    /// Marks as discs of a lymphocyte's nucleus; nothing is known elsewhere.
    ///
    /// - Parameter radius: level-0 px.
    init(marks: [Mark], radius: Double) {
        content = .marks(marks, radius: radius)
    }

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
        content = .pixels(try FineMask.pixels(url))
    }

    /// The pixels of a mask's file.
    static func pixels(_ url: URL) throws -> Plane<UInt8> {
        url.pathExtension.lowercased() == "png" ? try PNG.readLargest(url) : try TIFF.readGray(url)
    }

    /// Checks that the mask is as large as its slide.
    func check(fits slide: Slide) throws {
        guard case .pixels(let pixels) = content else { return }
        guard pixels.width == slide.width, pixels.height == slide.height else {
            throw InputError(
                .unusable,
                "the mask of \(slide.name) has \(pixels.width)×\(pixels.height) px, the slide \(slide.width)×\(slide.height): masks must be at level 0"
            )
        }
    }

    /// Whether a level-0 pixel is lymphocyte; nil beyond the mask, and where nothing is marked.
    package func isLymphocyte(level0X x: Double, level0Y y: Double) -> Bool? {
        switch content {
        case .pixels(let pixels):
            guard x >= 0, y >= 0, x < Double(pixels.width), y < Double(pixels.height) else { return nil }
            return pixels[Int(x), Int(y)] != 0
        case .marks(let marks, let radius):
            let near = marks.min { FineMask.distance($0, x, y) < FineMask.distance($1, x, y) }
            return near.flatMap { FineMask.distance($0, x, y) <= radius * radius ? $0.isLymphocyte : nil }
        }
    }

    /// The square of a distance.
    private static func distance(_ mark: Mark, _ x: Double, _ y: Double) -> Double {
        (mark.x - x) * (mark.x - x) + (mark.y - y) * (mark.y - y)
    }

    /// The marks near a rectangle only, so that asking about its pixels does not take longer with every mark of the slide.
    func within(level0X x: Double, level0Y y: Double, width: Double, height: Double) -> FineMask {
        guard case .marks(let marks, let radius) = content else { return self }
        let near = marks.filter {
            $0.x >= x - radius && $0.y >= y - radius && $0.x <= x + width + radius && $0.y <= y + height + radius
        }
        return FineMask(marks: near, radius: radius)
    }
}
