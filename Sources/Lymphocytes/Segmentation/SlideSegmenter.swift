public import Foundation
internal import LabelSuperResolution
internal import Raster
public import ResultStore
public import TiledPrediction
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

    public init(model: SegmentationModel, store: ResultStore, settings: SegmentationSettings) {
        self.model = model
        self.store = store
        self.settings = settings
    }

    /// - Throws: ``WorkError`` where the folder of heatmaps is none: every slide would go without.
    func checkHeatmaps() throws(WorkError) {
        var isFolder: ObjCBool = false
        guard let heatmaps else { return }
        guard FileManager.default.fileExists(atPath: heatmaps.path, isDirectory: &isFolder), isFolder.boolValue else {
            throw WorkError(.input, "there is no folder of heatmaps at \(heatmaps.path)")
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
        let url = file.url
        let clock = StageClock(stages: StageClock.Stage.segmentation)
        let slide = try Slide(url)
        let scale = try slide.scale(given: givenScale)
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: model.micronsPerPixel)
        let content = try slide.contentIdentity()
        let source = try settings.tissue.resolved(for: file)
        let regions = try RegionSums(
            slide: slide, file: file, scale: scale, frame: frame, heatmaps: heatmaps, priors: model.description.priors)
        let text =
            "\(settings.text) engine=\(model.network.engineName) tissue=\(try identity(of: source)) "
            + "heatmap=\(regions.identity)"
        let warning = self.warning(file: file, slide: slide, scale: scale, frame: frame, regions: regions)
        var record = self.record(slide, identity: content, scale: scale)
        if let done = try store.finishedRun(slide: record, model: modelID, settings: text) {
            try store.forgetFailure(path: url.path)
            return try Outcome(done: done, slide: file.title, store: store, warning: warning)
        }
        let tissue = try clock.time(.tissue) { () throws(SlideError) in
            try TissueMask(slide: slide, scale: scale, source: source)
        }
        let ground = clock.time(.tissue) { tissue.ground(frame, side: Ground.standardSide) }
        let grid = TileGrid(
            width: frame.width, height: frame.height, side: settings.tileSide, ground: ground)
        record.tissueSquareMillimeters = tissue.areaSquareMillimeters
        let run = try store.beginRun(
            slide: record, model: modelID,
            settings: RunSettings(
                text: text, level0PerPixel: frame.level0PerPixel, threshold: settings.threshold,
                tileSide: settings.tileSide,
                tileRows: grid.rows.count, programVersion: GraticuleVersion.current,
                engine: model.network.engineName),
            regions: regions.records,
            ground: GroundRecord(
                side: ground.side, columns: ground.tissue.width, rows: ground.tissue.height, isFound: ground.isFound,
                squares: ground.data))
        let start = Date()
        var work = SlideWork(
            segmenter: self, run: run, slide: slide, identity: content, frame: frame, grid: grid, tissue: tissue,
            ground: ground, regions: regions, clock: clock)
        func keepTime() throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            try store.addTime(
                Date().timeIntervalSince(start),
                profile: String(decoding: try encoder.encode(clock.seconds), as: UTF8.self), run: run.id)
        }
        do {
            let isComplete = try work.run(progress: progress)
            if isComplete {
                let statistics = try clock.time(.store) { () throws(any Error) in
                    try store.cellStatistics(run: run.id)
                }
                try keepTime()
                try store.finishRun(run.id, statistics: statistics)
                try store.forgetFailure(path: url.path)
            } else {
                try keepTime()
            }
            let summary = try store.summary(run: run.id)
            return Outcome(
                slide: file.title, cells: summary.cells,
                tissueSquareMillimeters: summary.tissueSquareMillimeters ?? tissue.areaSquareMillimeters,
                cellsPerSquareMillimeter: summary.cellsPerSquareMillimeter, unreadableTiles: work.unreadable,
                flaggedSquares: try store.flaggedSquares(run: run.id), wasDone: false, wasStopped: !isComplete,
                profile: clock.seconds,
                warning: work.oversized > 0
                    ? "\(work.oversized) areas of more than a mm² without a gap were left out: the threshold is too low, "
                        + "or the model is not for this stain"
                    : warning ?? (tissue.areaSquareMillimeters == 0 ? "no tissue was found on it" : nil))
        } catch {
            // The failure itself is what the user must see; a store that cannot even note it says so by its own error.
            try? store.failRun(run.id, message: "\(error)")
            throw error
        }
    }

    /// The slide as the store knows it, without its tissue.
    private func record(_ slide: Slide, identity: String, scale: SlideScale) -> SlideRecord {
        SlideRecord(
            name: slide.name, path: slide.url.path, identity: identity, vendor: slide.vendor, width: slide.width,
            height: slide.height, micronsPerPixel: scale.micronsPerPixel, scaleSource: scale.source.rawValue,
            tissueSquareMillimeters: 0, boundsX: slide.boundsOrigin.x, boundsY: slide.boundsOrigin.y)
    }

    /// A tissue source as a part of a run's identity: of a file its content, since it may be drawn anew.
    private func identity(of source: TissueSource) throws -> String {
        switch source {
        case .automatic: return "auto"
        case .everywhere: return "none"
        case .outlines(let file):
            var fingerprint = Fingerprint()
            fingerprint.add(try FileData.read(file, mostBytes: 1 << 28))
            return fingerprint.text
        }
    }

    private func warning(
        file: SlideFile, slide: Slide, scale: SlideScale, frame: WorkingFrame, regions: RegionSums
    ) -> String? {
        if scale.micronsPerPixel > WorkingFrame.warningFactor * frame.micronsPerPixel {
            return String(
                format: "its pixels of %.2f µm are coarser than the network's %.2f µm; cells are unreliable",
                scale.micronsPerPixel, frame.micronsPerPixel)
        }
        if let first = slide.leftOutLevels.first {
            return "\(first); it is left out" + (slide.leftOutLevels.count > 1 ? ", and others" : "")
        }
        if let note = slide.note(on: scale, given: givenScale) { return note }
        if let heatmaps, regions.records.isEmpty {
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
