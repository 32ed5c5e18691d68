internal import BatchWork
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
    /// nil where the labels are counted squares alone.
    public let heatmap: Heatmap?
    public let tissue: TissueMask
    /// The heatmap's regions; empty without a heatmap.
    public private(set) var regions: BlockGrid
    /// Counted squares, which need not lie on the heatmap's grid nor on one grid.
    public private(set) var squares: [BlockGrid] = []
    /// Fine labels, where the criterion wants them.
    public private(set) var mask: FineMask?

    /// All grids of labelled blocks.
    public var grids: [BlockGrid] { (heatmap == nil ? [] : [regions]) + squares }

    /// Opens a slide and the heatmap that belongs to it.
    ///
    /// - Parameters:
    ///   - heatmaps: nil for a slide whose labels are counted squares.
    ///   - masks: folder of fine masks; nil for none.
    ///   - micronsPerPixel: of the working grid.
    /// - Throws: ``SlideError`` where either is missing or broken, or they do not fit each other.
    public init(
        _ file: SlideFile, heatmaps: URL?, masks: URL? = nil, micronsPerPixel: Double, givenScale: Double?,
        coarseClasses: ProbabilityClasses
    ) throws {
        let slide = try Slide(file.url)
        scale = try slide.scale(given: givenScale)
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: micronsPerPixel)
        var found: Heatmap?
        if let heatmaps {
            found = try Heatmap.ofSlide(slide, file: file, scale: scale, in: heatmaps)
            guard found != nil else {
                throw SlideError(
                    .heatmap,
                    "slide \(slide.name) has no heatmap in \(heatmaps.path) (looked for "
                        + "\(FilePairing(file, in: heatmaps).heatmapNames))")
            }
        }
        heatmap = found
        tissue = try TissueMask(slide: slide, scale: scale)
        mask = try masks.map { try FineMask(for: file, in: $0) }
        try mask?.check(fits: slide)
        name = slide.name
        reader = WorkingReader(slide: slide, frame: frame)
        if let heatmap {
            regions = BlockGrid(heatmap: heatmap, frame: frame, tissue: tissue, coarseClasses: coarseClasses)
        } else {
            regions = BlockGrid(columns: 0, rows: 0, workingSide: 0, originX: 0, originY: 0)
        }
    }

    /// Whether a table means this slide: by its name, or by its file's.
    func isCalled(_ text: String) -> Bool { text == name || text == reader.slide.url.lastPathComponent }

    /// Takes what readers marked for fine labels.
    mutating func add(_ marks: [FineMask.Mark]) {
        let radius = (CellCounting.standardCellArea / .pi).squareRoot() / scale.micronsPerPixel
        mask = FineMask(marks: marks, radius: radius)
    }

    /// Adds squares in which lymphocytes were counted.
    ///
    /// - Parameters:
    ///   - stratum: the class with which a square is drawn and held out.
    ///   - refuse: gets those that do not lie on the slide.
    mutating func add(
        _ counted: [SquareReadings], counting: CellCounting, stratum: (SquareReadings) -> Int,
        refuse: (SquareReadings) -> Void
    ) throws {
        squares += try BlockGrid.counted(
            counted, frame: reader.frame, counting: counting, stratum: stratum, refuse: refuse)
    }
}
