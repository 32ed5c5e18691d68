public import CoarseTraining
internal import Failures
public import Foundation
public import WholeSlide

/// A slide with its coarse labels, ready to be drawn from.
public struct LabelledSlide: Sendable {
    public let name: String
    public let reader: WorkingReader
    /// Level-0 scale of the slide.
    public let scale: SlideScale
    public let heatmap: Heatmap
    public let tissue: TissueMask
    public var regions: BlockGrid
    /// Fine labels, where the criterion wants them.
    public let mask: FineMask?

    /// Opens a slide and the heatmap that belongs to it.
    ///
    /// - Parameters:
    ///   - micronsPerPixel: of the working grid.
    ///   - masks: folder of fine masks; nil for none.
    /// - Throws: ``SlideError`` where either is missing or broken, or they do not fit each other.
    public init(
        _ file: SlideFile, heatmaps: URL, masks: URL? = nil, micronsPerPixel: Double, givenScale: Double?,
        coarseClasses: ProbabilityClasses
    ) throws {
        let slide = try Slide(file.url)
        scale = try slide.scale(given: givenScale)
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: micronsPerPixel)
        guard let heatmap = try Heatmap.ofSlide(slide, file: file, scale: scale, in: heatmaps) else {
            throw SlideError(
                .heatmap,
                "slide \(slide.name) has no heatmap in \(heatmaps.path) (looked for "
                    + "\(FilePairing(file, in: heatmaps).heatmapNames))")
        }
        self.heatmap = heatmap
        tissue = try TissueMask(slide: slide, scale: scale)
        mask = try masks.map { try FineMask(for: file, in: $0) }
        try mask?.check(fits: slide)
        name = slide.name
        reader = WorkingReader(slide: slide, frame: frame)
        regions = BlockGrid(heatmap: heatmap, frame: frame, tissue: tissue, coarseClasses: coarseClasses)
    }
}
