public import Failures
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

    /// Sizes of a pixel at which cells can be told, µm: oil immersion to overview scans. What lies beyond is a mistake of a file
    /// or of a keyboard.
    public static let possible = 0.05...5.0
    /// Sides of a pixel that differ by more than this share give wrong areas and distances.
    static let mostDifference = 0.02

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
    /// override resolution tags, in which many programs write 72 dpi whatever the image is, and a vendor's mpp that is
    /// impossible or of pixels that are no squares.
    ///
    /// - Throws: ``SlideError`` that names `--mpp` where the slide does not say it. It is never guessed.
    public func scale(given: Double? = nil) throws(SlideError) -> SlideScale {
        if let given, !SlideScale.possible.contains(given) {
            throw SlideError(
                .scale,
                "--mpp \(given) is no size of a pixel in µm: between \(SlideScale.possible.lowerBound) and "
                    + "\(SlideScale.possible.upperBound) are possible")
        }
        let own = number("openslide.mpp-x") ?? number("openslide.mpp-y")
        if let x = own, let y = number("openslide.mpp-y") ?? own {
            if let scale = try square(x, y, source: .properties, given: given) { return scale }
        }
        if let given { return SlideScale(micronsPerPixel: given, source: .given) }
        if let unit = properties["tiff.ResolutionUnit"], let across = number("tiff.XResolution") {
            let micronsPerUnit: Double? =
                switch unit {
                case "centimeter": 10_000
                case "inch": 25_400
                default: nil
                }
            if let micronsPerUnit {
                let down = number("tiff.YResolution") ?? across
                let (x, y) = (micronsPerUnit / across, micronsPerUnit / down)
                if let scale = try square(x, y, source: .resolutionTags, given: nil) { return scale }
            }
        }
        throw SlideError(
            .scale, "slide \(url.path) does not say how large its pixels are: give µm per pixel with --mpp")
    }

    /// What is to be said of a scale that was given for a slide which states another.
    public func note(on scale: SlideScale, given: Double?) -> String? {
        guard let given, scale.source == .properties, abs(given / scale.micronsPerPixel - 1) > 0.01 else { return nil }
        return String(
            format: "it says itself that its pixels have %.4g µm: --mpp %.4g is not used", scale.micronsPerPixel, given)
    }

    /// The scale of pixels of x × y µm.
    ///
    /// - Returns: nil where they are no sound squares and the user has given the scale instead.
    /// - Throws: ``SlideError`` with both numbers where nothing was given.
    private func square(
        _ x: Double, _ y: Double, source: SlideScale.Source, given: Double?
    ) throws(SlideError) -> SlideScale? {
        func text(_ number: Double) -> String { String(format: "%.5g", number) }
        guard SlideScale.possible.contains(x), SlideScale.possible.contains(y) else {
            if given != nil { return nil }
            throw SlideError(
                .scale,
                "slide \(url.path) says that its pixels are \(text(x)) × \(text(y)) µm, which is impossible: give µm per pixel with --mpp"
            )
        }
        guard abs(x - y) <= SlideScale.mostDifference * max(x, y) else {
            if given != nil { return nil }
            throw SlideError(
                .scale,
                "slide \(url.path) has pixels of \(text(x)) × \(text(y)) µm, which are no squares: give µm per pixel with --mpp if one of the numbers is wrong"
            )
        }
        return SlideScale(micronsPerPixel: (x + y) / 2, source: source)
    }

    private func number(_ property: String) -> Double? {
        properties[property].flatMap(Double.init).flatMap { $0.isFinite && $0 > 0 ? $0 : nil }
    }
}
