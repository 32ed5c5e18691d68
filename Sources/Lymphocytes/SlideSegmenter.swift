public import Foundation
internal import LabelSuperResolution
internal import Raster
public import ResultStore
internal import WholeSlide

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

    public init() {}

    /// The settings as text: part of a run's identity in the store.
    var text: String {
        "threshold=\(threshold) tile=\(tileSide) least-area=\(leastArea) split-depth=\(splitDepth)"
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
    }

    /// How a slide ended.
    public struct Outcome: Sendable {
        public let slide: String
        public let cells: Int
        public let tissueSquareMillimeters: Double
        public let unreadableTiles: Int
        /// Whether an earlier run had finished the slide already.
        public let wasDone: Bool
        /// Something the user should know.
        public let warning: String?
    }

    public let model: SegmentationModel
    public let store: ResultStore
    public let settings: SegmentationSettings
    public var givenScale: Double?
    /// Folder of heatmaps to compare the regions' predicted fractions with.
    public var heatmaps: URL?

    public init(model: SegmentationModel, store: ResultStore, settings: SegmentationSettings) {
        self.model = model
        self.store = store
        self.settings = settings
    }

    /// Registers the model in the store.
    public func registerModel() throws -> Int64 {
        let text = try String(contentsOf: ModelFolder(model.folder).description, encoding: .utf8)
        return try store.model(
            ModelRecord(
                fingerprint: model.fingerprint, name: model.folder.lastPathComponent, path: model.folder.path,
                micronsPerPixel: model.description.micronsPerPixel, description: text))
    }

    /// Segments a slide.
    ///
    /// - Parameter modelID: from ``registerModel()``.
    /// - Throws: where the slide cannot be used; what was stored before stays.
    public func segment(_ url: URL, modelID: Int64, progress: (Progress) -> Void) throws -> Outcome {
        let slide = try Slide(url)
        let scale = try slide.scale(given: givenScale)
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: model.description.micronsPerPixel)
        let tissue = try TissueMask(slide: slide, scale: scale)
        let grid = TileGrid(frame: frame, side: settings.tileSide, tissue: tissue)
        let regions = try RegionSums(
            slide: slide, scale: scale, frame: frame, heatmaps: heatmaps, priors: model.description.priors)
        let run = try store.beginRun(
            slide: SlideRecord(
                name: slide.name, path: url.path, vendor: slide.vendor, width: slide.width, height: slide.height,
                micronsPerPixel: scale.micronsPerPixel, scaleSource: scale.source.rawValue,
                tissueSquareMillimeters: tissue.areaSquareMillimeters), model: modelID,
            settings: RunSettings(
                text: "\(settings.text) heatmap=\(regions.identity)", level0PerPixel: frame.level0PerPixel,
                threshold: settings.threshold,
                tileSide: settings.tileSide, tileRows: grid.rows.count, programVersion: GraticuleVersion.current),
            regions: regions.records)
        var warning = self.warning(scale: scale, frame: frame, regions: regions)
        if run.isDone {
            return Outcome(
                slide: slide.name, cells: try store.cellCount(run: run.id),
                tissueSquareMillimeters: tissue.areaSquareMillimeters, unreadableTiles: 0, wasDone: true,
                warning: warning)
        }
        do {
            let (unreadable, oversized) = try segmentRows(
                run, slide: slide, frame: frame, grid: grid, regions: regions, progress: progress)
            if oversized > 0 {
                warning =
                    "\(oversized) areas of more than a mm² without a gap were left out: the threshold is too low, or the "
                    + "model is not for this stain"
            }
            try store.finishRun(run.id)
            return Outcome(
                slide: slide.name, cells: try store.cellCount(run: run.id),
                tissueSquareMillimeters: tissue.areaSquareMillimeters, unreadableTiles: unreadable, wasDone: false,
                warning: warning)
        } catch {
            // The failure itself is what the user must see; a store that cannot even note it says so by its own error.
            try? store.failRun(run.id, message: "\(error)")
            throw error
        }
    }

    private func warning(scale: SlideScale, frame: WorkingFrame, regions: RegionSums) -> String? {
        if scale.micronsPerPixel > WorkingFrame.warningFactor * frame.micronsPerPixel {
            return String(
                format: "its pixels of %.2f µm are coarser than the network's %.2f µm; cells are unreliable",
                scale.micronsPerPixel, frame.micronsPerPixel)
        }
        if let heatmaps, regions.records.isEmpty { return "no heatmap in \(heatmaps.path); no regions are stored" }
        return nil
    }

    private func segmentRows(
        _ run: RunState, slide: Slide, frame: WorkingFrame, grid: TileGrid, regions: RegionSums,
        progress: (Progress) -> Void
    ) throws -> (unreadable: Int, oversized: Int) {
        let tiles = ProbabilityTiles(reader: WorkingReader(slide: slide, frame: frame), model: model)
        let outliner = CellOutliner(frame: frame, leastArea: settings.leastArea, splitDepth: settings.splitDepth)
        var components = try run.frontier.map { try StreamingComponents(frontierData: $0) } ?? StreamingComponents()
        var cells = try store.cellCount(run: run.id)
        var done = grid.rows[0..<min(run.nextTileRow, grid.rows.count)].reduce(0) { $0 + $1.count }
        let first = done
        let start = Date()
        var unreadable = 0
        var lastFailure: (any Error)?
        for row in run.nextTileRow..<max(run.nextTileRow, grid.rows.count) {
            var band = TileBand(
                width: frame.width, height: min(grid.side, frame.height - row * grid.side), y: row * grid.side)
            var records: [TileRecord] = []
            for tile in grid.rows[row] {
                var failure: String?
                var mean: Double?
                do {
                    mean = band.place(try tiles.output(of: tile), at: tile)
                } catch let error as SlideError {
                    failure = "\(error)"
                    band.unreadable.append(tile.x..<(tile.x + tile.width))
                    lastFailure = error
                    unreadable += 1
                }
                records.append(
                    TileRecord(
                        row: tile.row, column: tile.column, level0X: frame.level0(Double(tile.x)),
                        level0Y: frame.level0(Double(tile.y)), level0Width: frame.level0(Double(tile.width)),
                        level0Height: frame.level0(Double(tile.height)), failure: failure, meanProbability: mean))
                done += 1
                progress(
                    Progress(
                        slide: slide.name, tilesDone: done, tiles: grid.tileCount, cells: cells,
                        secondsPerTile: Date().timeIntervalSince(start) / Double(done - first)))
            }
            var closed =
                grid.rows[row].isEmpty
                ? components.skip(toRow: band.y + band.height)
                : band.append(to: &components, threshold: settings.threshold)
            if row == grid.rows.count - 1 { closed += components.finish() }
            let found = closed.flatMap { outliner.cells(of: $0) }
            cells += found.count
            try store.finishTileRow(
                run: run.id, nextTileRow: row + 1, frontier: components.frontierData, tiles: records, cells: found,
                regionSums: regions.sums(over: band))
        }
        if let lastFailure, unreadable == grid.tileCount {
            // Nothing of the slide could be read; the next try begins anew.
            try store.discardRun(run.id)
            throw lastFailure
        }
        return (unreadable, components.oversizedCount)
    }
}
