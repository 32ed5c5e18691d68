public import Failures
public import Raster

/// Reads a slide on a working grid, whatever the slide's own resolutions are.
public struct WorkingReader: Sendable {
    public let slide: Slide
    public let frame: WorkingFrame
    private let level: Int
    private let resampling: AreaResampling

    /// Takes the nearest level that is at least as fine as the grid; what is finer is averaged by area.
    public init(slide: Slide, frame: WorkingFrame) {
        self.slide = slide
        self.frame = frame
        level =
            slide.levels.indices.last { slide.levels[$0].downsample <= frame.level0PerPixel * 1.001 } ?? 0
        resampling = AreaResampling(scale: frame.level0PerPixel / slide.levels[level].downsample)
    }

    /// The working pixels of the rectangle whose top left pixel is (`x`, `y`); white outside the slide.
    ///
    /// A pixel's value does not depend on the rectangle in which it is read.
    public func read(x: Int, y: Int, width: Int, height: Int) throws(SlideError) -> RGBImage {
        // Only what lies on the slide is read; a halo may reach far beyond a small one.
        let left = max(0, x)
        let top = max(0, y)
        let right = min(frame.width, x + width)
        let bottom = min(frame.height, y + height)
        var result = RGBImage(width: width, height: height)
        guard left < right, top < bottom else { return result }
        let columns = resampling.finePixels(start: left, count: right - left)
        let rows = resampling.finePixels(start: top, count: bottom - top)
        let fine = try slide.read(
            level: level, levelX: columns.lowerBound, levelY: rows.lowerBound, width: columns.count, height: rows.count)
        let part = resampling.resampled(fine, x: left, y: top, width: right - left, height: bottom - top)
        if part.width == width, part.height == height { return part }
        result.paste(part, x: left - x, y: top - y)
        return result
    }
}
