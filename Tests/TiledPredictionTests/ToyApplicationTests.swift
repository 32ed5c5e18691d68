import BatchWork
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import Synchronization
import Testing
import TiledPrediction

/// A whole application beside the real ones: a picture of coloured squares, of which only blocks of 24 px are labelled, in four
/// classes by what they hold. It uses what is public alone, and copies nothing.
private struct Squares: Sendable {
    static let block = 24
    static let labels = ["ground", "red", "blue"]
    /// Squares of 6 px in a block: of each label by class.
    static let counts = [(red: 0, blue: 0), (red: 6, blue: 0), (red: 0, blue: 6), (red: 4, blue: 4)]
    let blocks: Int
    let classes: [Int]
    let truth: Plane<UInt8>
    /// Red, green and blue around 0.
    let planes: [Plane<Float>]

    var side: Int { blocks * Squares.block }

    init(blocks: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let side = blocks * Squares.block
        var truth = Plane<UInt8>(width: side, height: side, repeating: 0)
        classes = (0..<blocks * blocks).map { _ in Int.random(in: 0..<4, using: &generator) }
        for (index, known) in classes.enumerated() {
            var places = Array(0..<16).shuffled(using: &generator)
            for label in [UInt8](repeating: 1, count: Squares.counts[known].red)
                + [UInt8](repeating: 2, count: Squares.counts[known].blue)
            {
                let place = places.removeLast()
                let x = index % blocks * Squares.block + place % 4 * 6
                let y = index / blocks * Squares.block + place / 4 * 6
                for row in y..<(y + 6) { for column in x..<(x + 6) { truth[column, row] = label } }
            }
        }
        self.blocks = blocks
        self.truth = truth
        planes = (0..<3).map { channel in
            truth.map { label in
                let isLit = label == 1 && channel == 0 || label == 2 && channel == 2
                return (isLit ? 1 : -0.3) + Float(0.25 * generator.nextGaussian())
            }
        }
    }

    static func priors() throws -> LabelPriors {
        let means = counts.map { [Double(16 - $0.red - $0.blue) / 16, Double($0.red) / 16, Double($0.blue) / 16] }
        return try LabelPriors(
            labels: labels, means: means, deviations: means.map { $0.map { _ in 0.02 } }, origin: "how they are drawn")
    }
}

extension Squares: BlockSource {
    var identity: String { "coloured squares" }
    private static let layout = BlockLayout(margin: 4, blocksPerSide: 1, blockSide: block)

    private func batch(of chosen: [Int]) -> BlockBatch {
        let layout = Squares.layout
        let images = chosen.map { index in
            read(
                PixelRegion(
                    x: index % blocks * Squares.block - layout.margin,
                    y: index / blocks * Squares.block - layout.margin,
                    width: layout.imageSide, height: layout.imageSide))
        }
        return BlockBatch(
            layout: layout, channels: 3, input: images.flatMap(\.self), blocks: chosen.map { .coarseClass(classes[$0]) }
        )
    }

    func batch(step: Int, count: Int, seed: UInt64) -> BlockBatch {
        var generator = SeededGenerator(seed: seed, stream: UInt64(step))
        return batch(of: (0..<count).map { _ in Int.random(in: 0..<classes.count, using: &generator) })
    }

    func validationBatches() -> [BlockBatch] { [batch(of: Array(0..<16))] }
}

extension Squares: RegionReader {
    var width: Int { side }
    var height: Int { side }
    var channels: Int { 3 }

    private func read(_ region: PixelRegion) -> [Float] {
        planes.flatMap { plane in
            region.rows.flatMap { y in
                region.columns.map { x in (0..<side).contains(x) && (0..<side).contains(y) ? plane[x, y] : -0.3 }
            }
        }
    }

    func read(_ request: RegionRequest) throws(Never) -> (values: [Float], detail: Int) { (read(request.seen), 0) }
}

/// Keeps the likeliest label of each pixel.
private final class LabelBand: TileBand {
    private let placed = Mutex<[(tile: TileGrid.Tile, labels: Plane<UInt8>)]>([])
    var tiles: [(tile: TileGrid.Tile, labels: Plane<UInt8>)] { placed.withLock { $0 } }

    func place(_ output: TileOutput<Int>, at tile: TileGrid.Tile) -> Int {
        let labels = output.likeliest()
        placed.withLock { $0.append((tile, labels)) }
        return labels.values.count
    }

    func markUnreadable(_ tile: TileGrid.Tile) {}
}

struct ToyApplicationTests {
    @Test func threeLabelsAreLearntFromFourClassesAndPredictedInTiles() throws {
        try TestFolders.withTemporary { folder in
            let squares = Squares(blocks: 8, seed: 5)
            var configuration = TrainingPreset.fast.configuration(inputChannels: 3, labels: 3, seed: 2)
            configuration.architecture.widths = [8, 12]
            configuration.architecture.stride = 1
            configuration.batchSize = 8
            configuration.learningRate = 5e-3
            configuration.schedule = .cosine(warmup: 10, length: 100)
            let trainer = try Trainer(configuration: configuration, priors: try Squares.priors(), source: squares)
            let model = ModelFolder(folder)
            let validation = try trainer.train(
                into: model, steps: 100, resume: false, preview: { _, _ in }, progress: { _ in })
            #expect(try #require(validation).correlation > 0.7)
            let networks = try model.networks(members: 1, architecture: configuration.architecture)
            let unseen = Squares(blocks: 6, seed: 77)
            let pipeline = TilePipeline(
                grid: TileGrid(width: unseen.width, height: unseen.height, side: 64),
                predictor: TilePredictor(reader: unseen, network: TorchSegmentationNetwork(networks)), firstRow: 0,
                stop: StopRequest(), makeBand: { _ in LabelBand() }, finishedTile: {})
            pipeline.start(threads: 2)
            defer { pipeline.close() }
            var (right, all) = ([0, 0, 0], [0, 0, 0])
            work: while true {
                switch try pipeline.next() {
                case .waiting: continue
                case .end: break work
                case .row(let row):
                    for (tile, labels) in row.band.tiles {
                        for y in 0..<tile.height {
                            for x in 0..<tile.width {
                                let known = Int(unseen.truth[tile.x + x, tile.y + y])
                                all[known] += 1
                                right[known] += Int(labels[x, y]) == known ? 1 : 0
                            }
                        }
                    }
                }
            }
            #expect(all.reduce(0, +) == unseen.side * unseen.side)
            // Labels that are only known by their numbers in blocks: each is found, and none is taken for another.
            for label in 0..<3 { #expect(Double(right[label]) > 0.8 * Double(all[label]), "\(Squares.labels[label])") }
        }
    }
}
