internal import Foundation

/// How large a level-0 pixel is, and how that is known.
public struct SlideScale: Equatable, Sendable {
    /// Where the number comes from; stored with every result.
    public enum Source: String, Codable, Sendable {
        /// The vendor's own property (`openslide.mpp-x`).
        case properties
        /// The TIFF resolution tags.
        case resolutionTags = "resolution-tags"
        /// Given on the command line.
        case given
    }

    /// Sizes of a pixel that an image of a slide may have, µm.
    static let possible = 0.01...1000.0

    /// µm per level-0 pixel.
    public let micronsPerPixel: Double
    public let source: Source

    public init(micronsPerPixel: Double, source: Source) {
        self.micronsPerPixel = micronsPerPixel
        self.source = source
    }
}

extension Slide {
    /// The scale: the vendor's own mpp, else `given` where there is one, else the TIFF resolution.
    ///
    /// `given` does not override a vendor's mpp, so that in a mixed folder it serves the slides that lack one. It does
    /// override resolution tags, in which many programs write 72 dpi whatever the image is.
    ///
    /// - Throws: ``SlideError`` that names `--mpp` where the slide does not say it. It is never guessed.
    public func scale(given: Double? = nil) throws(SlideError) -> SlideScale {
        if let given, !SlideScale.possible.contains(given) {
            throw SlideError(.scale, "--mpp \(given) is no size of a pixel in µm")
        }
        if let x = number("openslide.mpp-x"), SlideScale.possible.contains(x),
            let y = number("openslide.mpp-y") ?? number("openslide.mpp-x")
        {
            guard abs(x - y) <= 0.1 * max(x, y) else {
                throw SlideError(
                    .scale, "slide \(url.path) has pixels of \(x) × \(y) µm; only square pixels are supported")
            }
            return SlideScale(micronsPerPixel: (x + y) / 2, source: .properties)
        }
        if let given { return SlideScale(micronsPerPixel: given, source: .given) }
        if let resolution = number("tiff.XResolution"), let unit = properties["tiff.ResolutionUnit"] {
            let micronsPerUnit: Double? =
                switch unit {
                case "centimeter": 10_000
                case "inch": 25_400
                default: nil
                }
            if let micronsPerUnit, SlideScale.possible.contains(micronsPerUnit / resolution) {
                return SlideScale(micronsPerPixel: micronsPerUnit / resolution, source: .resolutionTags)
            }
        }
        throw SlideError(
            .scale, "slide \(url.path) does not say how large its pixels are: give µm per pixel with --mpp")
    }

    private func number(_ property: String) -> Double? {
        properties[property].flatMap(Double.init).flatMap { $0.isFinite && $0 > 0.001 && $0 < 1e7 ? $0 : nil }
    }
}
