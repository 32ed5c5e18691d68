public import Failures
internal import Foundation

/// The pixel grid of a slide at a fixed size of a pixel, anchored at the slide's top left corner.
///
/// The one place where level-0 and working coordinates are converted into each other.
public struct WorkingFrame: Equatable, Sendable {
    /// µm per working pixel.
    public let micronsPerPixel: Double
    /// Level-0 pixels per working pixel.
    public let level0PerPixel: Double
    /// Size of the slide in working pixels; a partial pixel at the right or lower edge counts.
    public let width: Int
    public let height: Int

    /// More than this factor coarser than the working grid, and a slide is refused: nothing of a nucleus is left in it.
    public static let coarsestFactor = 8.0
    /// More than this factor coarser, and results are worth a warning.
    public static let warningFactor = 1.25

    /// - Throws: ``SlideError`` where the slide is far coarser than the working grid.
    public init(slide: Slide, scale: SlideScale, micronsPerPixel: Double) throws(SlideError) {
        let ratio = micronsPerPixel / scale.micronsPerPixel
        guard ratio * WorkingFrame.coarsestFactor >= 1 - 1e-9 else {
            throw SlideError(
                .scale,
                "slide \(slide.url.path) has \(scale.micronsPerPixel) µm per pixel (\(scale.source.rawValue)), too coarse "
                    + "for a network at \(micronsPerPixel): give --mpp if that scale is wrong")
        }
        self.init(
            micronsPerPixel: micronsPerPixel, level0PerPixel: ratio, level0Width: slide.width,
            level0Height: slide.height)
    }

    init(micronsPerPixel: Double, level0PerPixel: Double, level0Width: Int, level0Height: Int) {
        self.micronsPerPixel = micronsPerPixel
        // 0.5 / 0.2500001 is meant as 2: a scale this close to a whole number is one.
        let rounded = level0PerPixel.rounded()
        self.level0PerPixel = rounded >= 1 && abs(level0PerPixel - rounded) < 1e-4 * rounded ? rounded : level0PerPixel
        width = max(1, Int((Double(level0Width) / self.level0PerPixel).rounded(.up)))
        height = max(1, Int((Double(level0Height) / self.level0PerPixel).rounded(.up)))
    }

    /// Level-0 coordinate of a working coordinate (edges, not pixel centres).
    public func level0(_ working: Double) -> Double { working * level0PerPixel }

    /// Working coordinate of a level-0 coordinate.
    public func working(_ level0: Double) -> Double { level0 / level0PerPixel }
}
