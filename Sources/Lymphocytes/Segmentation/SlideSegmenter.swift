public import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
public import Logging
internal import Raster
public import ResultStore
internal import TiledPrediction
public import WholeSlide

/// What decides the cells of a run besides the model.
public struct SegmentationSettings: Sendable, Equatable {
    /// Pixels with at least this probability belong to lymphocytes.
    public var threshold = 0.5
    /// The side of a tile in working pixels, a multiple of every pooling grid.
    public var tileSide = 512
    /// Parts smaller than this are no cells, µm².
    public var leastArea = CellOutliner.defaultLeastArea
    /// See ``CellOutliner/splitDepth``, µm.
    public var splitDepth = CellOutliner.defaultSplitDepth
    /// Where the tissue is.
    public var tissue = TissueSource.automatic

    public init() {}

    /// The settings as text: part of a run's identity in the store.
    var text: String {
        "threshold=\(threshold) tile=\(tileSide) "
            + CellOutliner.settings(leastArea: leastArea, splitDepth: splitDepth)
    }
}

/// Segments one slide into the store, tile row by tile row; a run that was interrupted goes on where it stopped.
public struct SlideSegmenter: Sendable {
    /// How far a slide is.
    public struct Progress: Sendable {
        public let slide: String
        public let tilesDone: Int
        public let tiles: Int
        public let cells: Int
        public let secondsPerTile: Double

        public var secondsLeft: Double { secondsPerTile * Double(tiles - tilesDone) }
        public var tilesPerSecond: Double { 1 / max(secondsPerTile, 1e-9) }
    }

    /// How a slide ended.
    public struct Outcome: Sendable {
        public let slide: String
        public let cells: Int
        /// Of tiles that could be read.
        public let tissueSquareMillimeters: Double
        /// Of squares without a flag; nil where there is no such tissue.
        public let cellsPerSquareMillimeter: Double?
        public let unreadableTiles: Int
        /// Tiles with pen, folds or blur: they do not count for densities.
        public let flaggedSquares: Int
        /// Whether an earlier run had finished the slide already.
        public let wasDone: Bool
        /// Whether a stop was asked for before the end; the same command goes on from here.
        public let wasStopped: Bool
        /// Seconds by stage, summed over threads.
        public let profile: [String: Double]
        /// Something the user should know.
        public let warning: String?
    }

    public let model: SegmentationModel
    public let store: ResultStore
    public let settings: SegmentationSettings
    public var givenScale: Double?
    /// Folder of heatmaps to compare the regions' predicted fractions with.
    public var heatmaps: URL?
    /// Threads for each slide.
    public var threads = 1
    /// Ends the work early where a stop is asked for.
    public var stop = StopRequest()
    public var logger = Logger.silent

    public init(model: SegmentationModel, store: ResultStore, settings: SegmentationSettings) {
        self.model = model
        self.store = store
        self.settings = settings
    }

    /// - Throws: ``InputError`` where the folder of heatmaps is none: every slide would go without.
    func checkHeatmaps() throws(InputError) {
        var isFolder: ObjCBool = false
        guard let heatmaps else { return }
        guard FileManager.default.fileExists(atPath: heatmaps.path, isDirectory: &isFolder), isFolder.boolValue else {
            throw InputError(.unusable, "there is no folder of heatmaps at \(heatmaps.path)")
        }
    }

    /// Registers the model in the store.
    public func registerModel() throws -> Int64 {
        let text = String(decoding: try ModelFolder(model.folder).descriptionData(), as: UTF8.self)
        return try store.model(
            ModelRecord(
                fingerprint: model.fingerprint, name: model.folder.lastPathComponent, path: model.folder.path,
                micronsPerPixel: model.micronsPerPixel, description: text))
    }

    /// Segments a slide.
    ///
    /// - Parameters:
    ///   - modelID: from ``registerModel()``.
    ///   - progress: called on this thread, now and then.
    /// - Throws: where the slide cannot be used; what was stored before stays.
    public func segment(_ url: URL, modelID: Int64, progress: (Progress) -> Void) throws -> Outcome {
        try segment(SlideFile(url), modelID: modelID, progress: progress)
    }

    /// The same for a slide of a folder, whose heatmap and tissue may lie in a folder of the same name.
    public func segment(_ file: SlideFile, modelID: Int64, progress: (Progress) -> Void) throws -> Outcome {
        let clock = StageClock(stages: StageClock.Stage.segmentation)
        let input = try PreparedSlide(file, segmenter: self)
        if let done = try store.finishedRun(slide: input.record, model: modelID, settings: input.settings) {
            try store.forgetFailure(path: file.url.path)
            return try Outcome(done: done, slide: file.title, store: store, warning: input.warning)
        }
        let tissue = try clock.time(.tissue) { () throws(SlideError) in
            try TissueMask(slide: input.slide, scale: input.scale, source: input.tissueSource)
        }
        let ground = clock.time(.tissue) { tissue.ground(input.frame, side: Ground.standardSide) }
        let grid = TileGrid(
            width: input.frame.width, height: input.frame.height, side: settings.tileSide, ground: ground)
        let run = try beginRun(input, modelID: modelID, tissue: tissue, ground: ground, grid: grid)
        let start = Date()
        var work = SlideRun(
            segmenter: self, run: run, slide: input.slide, identity: input.content, frame: input.frame, grid: grid,
            tissue: tissue, ground: ground, regions: input.regions, clock: clock)
        do {
            let isComplete = try work.run(progress: progress)
            let statistics =
                isComplete
                ? try clock.time(.store) { () throws(any Error) in try store.cellStatistics(run: run.id) } : nil
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            try store.addTime(
                Date().timeIntervalSince(start),
                profile: String(decoding: try encoder.encode(clock.seconds), as: UTF8.self), run: run.id)
            if let statistics {
                try store.finishRun(run.id, statistics: statistics)
                try store.forgetFailure(path: file.url.path)
            }
            return try outcome(of: work, run: run.id, input: input, tissue: tissue, profile: clock.seconds)
        } catch {
            // The failure itself is what the user must see; a store that cannot even note it says so by its own error.
            try? store.failRun(run.id, message: "\(error)")
            throw error
        }
    }

    private func beginRun(
        _ input: PreparedSlide, modelID: Int64, tissue: TissueMask, ground: Ground, grid: TileGrid
    ) throws -> RunState {
        var record = input.record
        record.tissueSquareMillimeters = tissue.areaSquareMillimeters
        return try store.beginRun(
            slide: record, model: modelID,
            settings: RunSettings(
                text: input.settings, level0PerPixel: input.frame.level0PerPixel, threshold: settings.threshold,
                tileSide: settings.tileSide, tileRows: grid.rows.count, programVersion: GraticuleVersion.current,
                engine: model.network.engineName),
            regions: input.regions.records,
            ground: GroundRecord(
                side: ground.side, columns: ground.tissue.width, rows: ground.tissue.height, isFound: ground.isFound,
                squares: ground.data))
    }

    private func outcome(
        of work: SlideRun, run: Int64, input: PreparedSlide, tissue: TissueMask, profile: [String: Double]
    ) throws -> Outcome {
        let summary = try store.summary(run: run)
        return Outcome(
            slide: input.file.title, cells: summary.cells,
            tissueSquareMillimeters: summary.tissueSquareMillimeters ?? tissue.areaSquareMillimeters,
            cellsPerSquareMillimeter: summary.cellsPerSquareMillimeter, unreadableTiles: work.unreadable,
            flaggedSquares: try store.flaggedSquares(run: run), wasDone: false, wasStopped: !work.isComplete,
            profile: profile,
            warning: work.oversized > 0
                ? "\(work.oversized) areas of more than a mm² without a gap were left out: the threshold is too low, "
                    + "or the model is not for this stain"
                : input.warning ?? (tissue.areaSquareMillimeters == 0 ? "no tissue was found on it" : nil))
    }
}

/// A slide that is opened for segmentation, with what decides whether a run of it is done already.
private struct PreparedSlide {
    let file: SlideFile
    let slide: Slide
    let scale: SlideScale
    let frame: WorkingFrame
    /// The slide's content (``Slide/contentIdentity()``).
    let content: String
    let tissueSource: TissueSource
    let regions: RegionSums
    /// The settings of its run as text.
    let settings: String
    /// The slide as the store knows it, without its tissue.
    let record: SlideRecord
    /// Something the user should know.
    let warning: String?

    init(_ file: SlideFile, segmenter: SlideSegmenter) throws {
        self.file = file
        slide = try Slide(file.url)
        scale = try slide.scale(given: segmenter.givenScale)
        frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: segmenter.model.micronsPerPixel)
        content = try slide.contentIdentity()
        tissueSource = try segmenter.settings.tissue.resolved(for: file)
        regions = try RegionSums(
            slide: slide, file: file, scale: scale, frame: frame, heatmaps: segmenter.heatmaps,
            priors: try segmenter.model.description.heatmapPriors)
        settings =
            "\(segmenter.settings.text) engine=\(segmenter.model.network.engineName) "
            + "tissue=\(try PreparedSlide.identity(of: tissueSource)) heatmap=\(regions.identity)"
        record = SlideRecord(
            name: slide.name, path: slide.url.path, identity: content, vendor: slide.vendor, width: slide.width,
            height: slide.height, micronsPerPixel: scale.micronsPerPixel, scaleSource: scale.source.rawValue,
            tissueSquareMillimeters: 0, boundsX: slide.boundsOrigin.x, boundsY: slide.boundsOrigin.y)
        warning = PreparedSlide.warning(
            file: file, slide: slide, scale: scale, frame: frame, regions: regions, segmenter: segmenter)
    }

    /// A tissue source as a part of a run's identity: of a file its content, since it may be drawn anew.
    private static func identity(of source: TissueSource) throws -> String {
        switch source {
        case .automatic: return "auto"
        case .everywhere: return "none"
        case .outlines(let file):
            var fingerprint = Fingerprint()
            fingerprint.add(try FileData.read(file, mostBytes: 1 << 28))
            return fingerprint.text
        }
    }

    private static func warning(
        file: SlideFile, slide: Slide, scale: SlideScale, frame: WorkingFrame, regions: RegionSums,
        segmenter: SlideSegmenter
    ) -> String? {
        if scale.micronsPerPixel > WorkingFrame.warningFactor * frame.micronsPerPixel {
            return String(
                format: "its pixels of %.2f µm are coarser than the network's %.2f µm; cells are unreliable",
                scale.micronsPerPixel, frame.micronsPerPixel)
        }
        if let first = slide.leftOutLevels.first {
            return "\(first); it is left out" + (slide.leftOutLevels.count > 1 ? ", and others" : "")
        }
        if let note = slide.note(on: scale, given: segmenter.givenScale) { return note }
        if let heatmaps = segmenter.heatmaps, regions.records.isEmpty {
            return "no heatmap in \(heatmaps.path) (looked for \(FilePairing(file, in: heatmaps).heatmapNames)); "
                + "no regions are stored"
        }
        return nil
    }
}

extension SlideSegmenter.Outcome {
    /// Of a slide that an earlier call has finished.
    init(done run: Int64, slide: String, store: ResultStore, warning: String?) throws {
        let summary = try store.summary(run: run)
        self.init(
            slide: slide, cells: summary.cells, tissueSquareMillimeters: summary.tissueSquareMillimeters ?? 0,
            cellsPerSquareMillimeter: summary.cellsPerSquareMillimeter, unreadableTiles: 0,
            flaggedSquares: 0, wasDone: true, wasStopped: false, profile: [:], warning: warning)
    }
}
