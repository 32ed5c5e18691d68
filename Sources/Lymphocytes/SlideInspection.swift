internal import BatchWork
internal import Failures
public import Foundation
public import WholeSlide

/// What a slide says of itself, and how much tissue is on it.
public struct SlideInspection: Encodable, Sendable {
    /// One resolution.
    public struct Level: Encodable, Sendable {
        public let width: Int
        public let height: Int
        public let downsample: Double
    }

    public let name: String
    public let path: String
    public let vendor: String
    /// Level-0 pixels.
    public let width: Int
    public let height: Int
    public let levels: [Level]
    /// µm per level-0 pixel; nil where the slide does not say it.
    public let micronsPerPixel: Double?
    public let scaleSource: String?
    /// nil where the scale is unknown.
    public let tissueSquareMillimeters: Double?
    /// OpenSlide's properties.
    public let properties: [String: String]

    /// - Throws: where the slide cannot be opened or read.
    public init(_ url: URL, givenScale: Double?) throws {
        let slide = try Slide(url)
        name = slide.name
        path = url.path
        vendor = slide.vendor
        width = slide.width
        height = slide.height
        levels = slide.levels.map { Level(width: $0.width, height: $0.height, downsample: $0.downsample) }
        properties = slide.properties
        if let givenScale {
            _ = try slide.scale(given: givenScale)
        }
        if let scale = try? slide.scale(given: givenScale) {
            micronsPerPixel = scale.micronsPerPixel
            scaleSource = scale.source.rawValue
            tissueSquareMillimeters = try TissueMask(slide: slide, scale: scale).areaSquareMillimeters
        } else {
            micronsPerPixel = nil
            scaleSource = nil
            tissueSquareMillimeters = nil
            // A slide whose pixels cannot be read should say so here rather than overnight.
            _ = try slide.read(level: slide.levels.count - 1, levelX: 0, levelY: 0, width: 1, height: 1)
        }
    }

    /// How a heatmap fits a slide.
    ///
    /// - Parameter heatmap: a file, or a folder in which the slide's is looked for.
    /// - Throws: where there is none, or the two do not fit.
    public static func report(on heatmap: URL, slide url: URL, givenScale: Double?) throws -> HeatmapReport {
        let slide = try Slide(url)
        return try HeatmapReport(
            slide: slide, scale: slide.scale(given: givenScale), file: file(heatmap, of: SlideFile(url)))
    }

    /// Writes a heatmap of any format as quip text.
    ///
    /// - Returns: the number of regions.
    public static func convert(_ heatmap: URL, slide url: URL, givenScale: Double?, to target: URL) throws -> Int {
        let slide = try Slide(url)
        let scale = try slide.scale(given: givenScale)
        let read = try Heatmap(
            file(heatmap, of: SlideFile(url)), extent: Heatmap.Extent(slide, scale: scale))
        try read.check(fits: slide, scale: scale)
        try read.writeQuip(to: target)
        return read.regions.count
    }

    private static func file(_ heatmap: URL, of slide: SlideFile) throws -> URL {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: heatmap.path, isDirectory: &isFolder) else {
            throw InputError(.unusable, "there is no heatmap at \(heatmap.path)")
        }
        guard isFolder.boolValue else { return heatmap }
        let pairing = FilePairing(slide, in: heatmap)
        guard let file = try pairing.heatmap() else {
            throw InputError(
                .unusable, "slide \(slide.name) has no heatmap in \(heatmap.path) (looked for \(pairing.heatmapNames))")
        }
        return file
    }
}
