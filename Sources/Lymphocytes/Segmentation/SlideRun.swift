internal import Failures
internal import Foundation
internal import Logging
internal import Raster
internal import ResultStore
internal import Synchronization
internal import TiledPrediction
internal import WholeSlide

/// The tile rows of one slide from the first open one on: threads compute tiles, and this one closes cells and stores them,
/// a row a transaction.
struct SlideRun {
    private let segmenter: SlideSegmenter
    private let run: RunState
    private let slide: Slide
    private let identity: String
    private let frame: WorkingFrame
    private let grid: TileGrid
    private let tissue: TissueMask
    private let ground: Ground
    private let regions: RegionSums
    private let clock: StageClock
    private let outliner: CellOutliner
    private var cells = 0

    /// Whether the slide's end was reached.
    private(set) var isComplete = false
    /// Tiles that could not be read in this part of the run.
    private(set) var unreadable = 0
    /// Components that were too large to be kept.
    private(set) var oversized = 0

    init(
        segmenter: SlideSegmenter, run: RunState, slide: Slide, identity: String, frame: WorkingFrame, grid: TileGrid,
        tissue: TissueMask, ground: Ground, regions: RegionSums, clock: StageClock
    ) {
        self.segmenter = segmenter
        self.run = run
        self.slide = slide
        self.identity = identity
        self.frame = frame
        self.grid = grid
        self.tissue = tissue
        self.ground = ground
        self.regions = regions
        self.clock = clock
        outliner = CellOutliner(
            frame: frame, leastArea: segmenter.settings.leastArea, splitDepth: segmenter.settings.splitDepth)
    }

    /// - Returns: whether the slide's end was reached.
    mutating func run(progress: (SlideSegmenter.Progress) -> Void) throws -> Bool {
        var components = try run.frontier.map { try StreamingComponents(frontierData: $0) } ?? StreamingComponents()
        cells = try segmenter.store.cellCount(run: run.id)
        let before = grid.rows[0..<min(run.nextTileRow, grid.rows.count)].reduce(0) { $0 + $1.count }
        let start = Date()
        let counter = Counter()
        let regions = regions
        let (threshold, ground) = (segmenter.settings.threshold, ground)
        let pipeline = TilePipeline(
            grid: grid,
            predictor: TilePredictor(
                WorkingReader(slide: slide, frame: frame), model: segmenter.model, ground: ground, clock: clock),
            firstRow: run.nextTileRow, stop: segmenter.stop,
            makeBand: { CellBand(rows: $0, threshold: threshold, regions: regions.crossing($0), ground: ground) },
            finishedTile: { counter.add() })
        pipeline.start(threads: segmenter.threads)
        defer { pipeline.close() }
        var lastFailure: SlideError?
        var position = run.nextTileRow
        func show() {
            let done = counter.count
            guard done > 0 else { return }
            progress(
                SlideSegmenter.Progress(
                    slide: slide.name, tilesDone: before + done, tiles: grid.tileCount, cells: cells,
                    secondsPerTile: Date().timeIntervalSince(start) / Double(done)))
        }
        while true {
            switch try pipeline.next() {
            case .waiting: show()
            case .end:
                isComplete = try finish(reached: position, lastFailure: lastFailure)
                return isComplete
            case .row(let row):
                for case .failure(let error) in row.tiles.map(\.result) { lastFailure = error }
                try store(row, components: &components)
                position = row.index + 1
                oversized = components.oversizedCount
                show()
            }
        }
    }

    private func finish(reached position: Int, lastFailure: SlideError?) throws -> Bool {
        if let lastFailure, unreadable > 0 {
            segmenter.logger.warning(
                "\(unreadable) tiles of \(slide.name) cannot be read, the last one since: \(explanation(of: lastFailure))"
            )
        }
        guard position >= grid.rows.count else { return false }
        if let lastFailure, unreadable == grid.tileCount {
            // Nothing of the slide could be read; the next try begins anew.
            try segmenter.store.discardRun(run.id)
            throw lastFailure
        }
        return true
    }

    /// Closes the cells of a row and stores it.
    private mutating func store(
        _ row: TilePipeline<StainedRegionReader, CellBand>.Row, components: inout StreamingComponents
    ) throws {
        let isLast = row.index == grid.rows.count - 1
        let closed = clock.time(.components) {
            var closed =
                row.tiles.isEmpty
                ? components.skip(toRow: min((row.index + 1) * grid.side, frame.height))
                : row.band.append(to: &components)
            if isLast { closed += components.finish() }
            return closed
        }
        // A cell counts where its centre lies in the tissue: numbers and areas are then of the same ground.
        let found = clock.time(.cells) {
            outlined(closed).filter { tissue.contains(level0X: $0.centroidX, level0Y: $0.centroidY) }
        }
        cells += found.count
        let records = row.tiles.map(record)
        unreadable += records.count { $0.failure != nil }
        let frontier = components.frontierData
        // What was read since the last row is kept only if it was read of the slide that was opened.
        try slide.checkUnchanged(identity: identity)
        try clock.time(.store) { () throws(StoreError) in
            try segmenter.store.finishTileRow(
                run: run.id, nextTileRow: row.index + 1, frontier: frontier, tiles: records, cells: found,
                regionSums: row.band.regionSums, quality: quality(row, found),
                qualitySide: frame.level0(Double(TileQuality.squareSide)))
        }
    }

    /// The cells of components, in their order; several threads share the work.
    private func outlined(_ components: [PixelComponent]) -> [CellRecord] {
        let parts = min(segmenter.threads, components.count / SlideRun.leastShare)
        let outliner = outliner
        guard parts > 1 else { return components.flatMap { outliner.cells(of: $0) } }
        let collected = Collected(count: parts)
        DispatchQueue.concurrentPerform(iterations: parts) { part in
            let range = (components.count * part / parts)..<(components.count * (part + 1) / parts)
            collected.put(components[range].flatMap { outliner.cells(of: $0) }, at: part)
        }
        return collected.cells
    }

    /// Components below which a second thread is not worth its start.
    private static let leastShare = 64

    private func record(_ result: TilePipeline<StainedRegionReader, CellBand>.Result) -> TileRecord {
        let tile = result.tile
        var record = TileRecord(
            row: tile.row, column: tile.column, level0X: frame.level0(Double(tile.x)),
            level0Y: frame.level0(Double(tile.y)), level0Width: frame.level0(Double(tile.width)),
            level0Height: frame.level0(Double(tile.height)), failure: nil, meanProbability: nil)
        switch result.result {
        case .success(let (mean, quality)):
            record.meanProbability = mean
            record.tissueSquareMillimeters = tissue.areaSquareMillimeters(
                level0X: record.level0X, level0Y: record.level0Y, width: record.level0Width,
                height: record.level0Height)
            record.pen = quality.pen
            record.fold = quality.fold
            record.sharpness = quality.sharpness
            record.flag = quality.flag
        case .failure(let error):
            record.failure = "\(error)"
            segmenter.logger.debug("a tile of \(slide.name): \(explanation(of: error))")
        }
        return record
    }

    /// What a row adds to the squares in which quality is judged.
    private func quality(_ row: TilePipeline<StainedRegionReader, CellBand>.Row, _ cells: [CellRecord])
        -> [QualityRecord]
    {
        var squares: [SIMD2<Int>: QualityRecord] = [:]
        for case (let tile, .success((_, let quality))) in row.tiles.map({ ($0.tile, $0.result) }) {
            for part in quality.parts {
                let place = SIMD2(part.column, part.row)
                var square = squares[place] ?? QualityRecord(row: part.row, column: part.column)
                part.add(to: &square)
                let own = part.region(in: tile.region)
                square.tissueSquareMillimeters += tissue.areaSquareMillimeters(
                    level0X: frame.level0(Double(own.x)), level0Y: frame.level0(Double(own.y)),
                    width: frame.level0(Double(own.width)), height: frame.level0(Double(own.height)))
                squares[place] = square
            }
        }
        let side = frame.level0(Double(TileQuality.squareSide))
        for cell in cells {
            let place = SIMD2(Int(cell.centroidX / side), Int(cell.centroidY / side))
            squares[place, default: QualityRecord(row: place.y, column: place.x)].cells += 1
            squares[place]?.cellAreaSquareMicrons += cell.areaSquareMicrons
        }
        return squares.values.sorted { ($0.row, $0.column) < ($1.row, $1.column) }
    }

    /// Counts tiles of several threads.
    private final class Counter: Sendable {
        private let value = Mutex(0)

        var count: Int { value.withLock { $0 } }
        func add() { value.withLock { $0 += 1 } }
    }

    /// Cells of several threads.
    private final class Collected: Sendable {
        private let parts: Mutex<[[CellRecord]]>

        init(count: Int) {
            parts = Mutex([[CellRecord]](repeating: [], count: count))
        }

        var cells: [CellRecord] { parts.withLock { $0.flatMap(\.self) } }
        func put(_ cells: [CellRecord], at index: Int) { parts.withLock { $0[index] = cells } }
    }
}
