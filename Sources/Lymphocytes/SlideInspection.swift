public import Foundation
internal import WholeSlide

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
}
