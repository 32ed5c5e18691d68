internal import BatchWork
internal import Failures
internal import Foundation
internal import LabelSuperResolution
internal import Raster
internal import ResultStore
internal import TiledPrediction
internal import WholeSlide
internal import Tables

// MARK: Pictures

extension CellExport {
    private var workingMicrons: Double { run.micronsPerPixel * run.level0PerPixel }

    /// Bands of 256 rows are painted from the cells that meet them.
    func writeMask(_ url: URL, progress: (Double) -> Void) throws {
        let (width, height) = (run.workingWidth, run.workingHeight)
        let file = try GrayPyramidTIFF(
            url, width: width, height: height, micronsPerPixel: workingMicrons, name: run.slide, reduction: .majority)
        let step = 256
        for y in stride(from: 0, to: height, by: step) {
            let rows = min(step, height - y)
            var band = [UInt8](repeating: 0, count: width * rows)
            try store.forEachCell(
                run: run.id, fromY: Double(y) * run.level0PerPixel, toY: Double(y + rows) * run.level0PerPixel
            ) { cell in
                let mask = try RunLengthMask(width: cell.maskWidth, height: cell.maskHeight, compressed: cell.mask).mask
                guard cell.maskX < width else { return }
                for row in max(0, y - cell.maskY)..<max(0, y - cell.maskY, min(mask.height, y + rows - cell.maskY)) {
                    let start = (cell.maskY + row - y) * width
                    for column in 0..<min(mask.width, width - cell.maskX) where mask[column, row] {
                        band[start + cell.maskX + column] = 255
                    }
                }
            }
            try band.withUnsafeBufferPointer { try file.append($0) }
            progress(Double(y + rows) / Double(height))
        }
        try file.finish()
    }

    /// The network is run again over the tiles of the run.
    func writeProbability(_ url: URL, progress: (Double) -> Void) throws {
        let folder = URL(fileURLWithPath: run.modelPath)
        let engine = InferenceEngine(
            named: run.engine == "libtorch" ? "libtorch" : String(run.engine.split(separator: "-").last ?? "auto"))
        let model = try SegmentationModel(folder, engine: engine ?? .automatic)
        guard model.fingerprint == run.modelFingerprint else {
            throw InputError(
                .model, "\(run.modelPath) is no longer the model of this run (\(run.modelFingerprint)): segment again")
        }
        let slide = try Slide(URL(fileURLWithPath: run.slidePath))
        let isKnown = !run.slideIdentity.hasPrefix("unknown-")
        guard
            try isKnown
                ? slide.contentIdentity() == run.slideIdentity : slide.width == run.width && slide.height == run.height
        else {
            throw InputError(.unusable, "\(run.slidePath) is no longer the slide of this run: segment it again")
        }
        let scale = SlideScale(micronsPerPixel: run.micronsPerPixel, source: .given)
        let frame = try WorkingFrame(
            slide: slide, scale: scale, micronsPerPixel: model.micronsPerPixel)
        let ground = try ground()
        let looked = Set(
            try store.tiles(run: run.id).map { SIMD2(Int(frame.working($0.x)), Int(frame.working($0.y))) })
        let grid = TileGrid(width: frame.width, height: frame.height, side: run.tileSide) {
            looked.contains(SIMD2($0.x, $0.y))
        }
        let file = try GrayPyramidTIFF(
            url, width: frame.width, height: frame.height, micronsPerPixel: workingMicrons, name: run.slide,
            reduction: .mean)
        let width = frame.width
        let pipeline = TilePipeline(
            grid: grid, predictor: TilePredictor(WorkingReader(slide: slide, frame: frame), model: model), firstRow: 0,
            stop: StopRequest(),
            makeBand: {
                ProbabilityBand<StainedRegionReader.Detail>(
                    width: width, height: $0.count, y: $0.lowerBound, ground: ground)
            },
            finishedTile: {})
        pipeline.start(threads: ProcessInfo.processInfo.activeProcessorCount)
        defer { pipeline.close() }
        while true {
            switch try pipeline.next() {
            case .waiting: continue
            case .end: return try file.finish()
            case .row(let row):
                try file.append(row.band.probabilities)
                progress(Double(row.index + 1) / Double(grid.rows.count))
            }
        }
    }

    /// Where the run looked; nil of runs before that was stored.
    private func ground() throws -> Ground? {
        guard let stored = try store.ground(run: run.id) else { return nil }
        guard
            let ground = Ground(
                data: stored.squares, side: stored.side, columns: stored.columns, rows: stored.rows,
                isFound: stored.isFound)
        else { throw InputError(.unusable, "\(store.url.path) is damaged: where run \(run.id) looked cannot be read") }
        return ground
    }

    /// Regions of 50 µm on the tissue, from the share of their area that cells cover.
    ///
    /// The share becomes a probability by the model's own priors: that of the class whose η it is, between two classes in
    /// proportion.
    func writeHeatmap(_ url: URL, progress: (Double) -> Void) throws {
        let side = max(1, (Heatmap.nominalSideMicrons / run.micronsPerPixel).rounded())
        var covered: [SIMD2<Int32>: Double] = [:]
        let ground = try ground()
        for tile in try store.tiles(run: run.id) {
            guard tile.width >= 0, tile.height >= 0,
                [tile.x, tile.y, tile.width, tile.height].allSatisfy({ abs($0) < 1e8 })
            else { throw InputError(.unusable, "\(store.url.path) is damaged: a tile lies at (\(tile.x), \(tile.y))") }
            // A region belongs to the run where a tile holds its centre, and that is tissue.
            let first = (x: Int32((tile.x / side - 0.5).rounded(.up)), y: Int32((tile.y / side - 0.5).rounded(.up)))
            let last = (
                x: Int32(((tile.x + tile.width) / side - 0.5).rounded(.up)),
                y: Int32(((tile.y + tile.height) / side - 0.5).rounded(.up))
            )
            for y in first.y..<max(first.y, last.y) {
                for x in first.x..<max(first.x, last.x) {
                    let (middleX, middleY) = (
                        (Double(x) + 0.5) * side / run.level0PerPixel, (Double(y) + 0.5) * side / run.level0PerPixel
                    )
                    if let ground, !ground.isTissue(x: Int(middleX), y: Int(middleY)) { continue }
                    covered[SIMD2(x, y)] = 0
                }
            }
        }
        try forEachCell(progress: progress) { _, cell in
            let region = SIMD2(Int32(cell.centroidX / side), Int32(cell.centroidY / side))
            covered[region]? += cell.areaSquareMicrons
        }
        let area = side * side * run.micronsPerPixel * run.micronsPerPixel
        struct Described: Decodable {
            let priors: LabelPriors
            let coarseClasses: [String]?
        }
        let described = try? JSONDecoder().decode(Described.self, from: Data(run.modelDescription.utf8))
        let priors = try described.map {
            try LymphocyteModelDescription.heatmapPriors($0.priors, coarseClasses: $0.coarseClasses)
        }
        let expected = priors?.means.compactMap(\.last) ?? []
        let file = try FileStream(url)
        let isTable = url.lastPathComponent.hasSuffix(".csv") || url.lastPathComponent.hasSuffix(".csv.gz")
        if isTable {
            try file.write(TableText.line(["minx", "miny", "width", "height", "prob_Other", "prob_Lymphocytes"]))
        }
        for region in covered.keys.sorted(by: { ($0.y, $0.x) < ($1.y, $1.x) }) {
            let p = CellExport.probability(ofFraction: min(1, (covered[region] ?? 0) / area), expected: expected)
            let (x, y) = (Double(region.x) * side, Double(region.y) * side)
            let value = CellExport.text(p, decimals: 4)
            if isTable {
                try file.write(
                    "\(Int(x)),\(Int(y)),\(Int(side)),\(Int(side)),\(CellExport.text(1 - p, decimals: 4)),\(value)\n")
            } else {
                try file.write("\(Int(x + side / 2)) \(Int(y + side / 2)) \(value) 0\n")
            }
        }
        try file.finish()
    }

    /// The probability whose class has such a fraction of lymphocyte pixels.
    ///
    /// - Parameter expected: η by class, not falling.
    static func probability(ofFraction fraction: Double, expected: [Double]) -> Double {
        let count = Double(expected.count)
        guard let first = expected.first, let last = expected.last, expected.count > 1, last > first else {
            return min(1, fraction)
        }
        if fraction <= first { return 0 }
        if fraction >= last { return 1 - 0.5 / count }
        let above = expected.firstIndex { $0 > fraction } ?? expected.count - 1
        let (low, high) = (expected[above - 1], expected[above])
        return (Double(above) - 0.5 + (fraction - low) / (high - low)) / count
    }
}
