import BatchWork
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import ResultStore
import Testing
import TiledPrediction
import WholeSlide

@testable import Lymphocytes

struct SegmentationTests {
    private let slide = PhantomFixture.folder.appendingPathComponent("phantom-1.svs")

    private func settings(tile: Int = 128) -> SegmentationSettings {
        var settings = SegmentationSettings()
        settings.tileSide = tile
        return settings
    }

    private func cells(_ store: ResultStore) throws -> Set<[ResultStore.Value]> {
        var rows = Set<[ResultStore.Value]>()
        var count = 0
        try store.query(
            "SELECT centroid_x, centroid_y, area_um2, mean_probability, mean_hematoxylin_od, polygon, mask_x, mask_y, mask FROM cell"
        ) { _, values in
            if let values {
                rows.insert(values)
                count += 1
            }
        }
        #expect(rows.count == count, "no cell is stored twice")
        return rows
    }

    private func segment(
        _ model: SegmentationModel, _ file: URL, tile: Int = 128
    ) throws -> (SlideSegmenter.Outcome, ResultStore) {
        let store = try ResultStore(file)
        let segmenter = SlideSegmenter(model: model, store: store, settings: settings(tile: tile))
        return (try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }, store)
    }

    @Test(arguments: [[4, 6], [4, 4, 6]]) func joinedTilesEqualOnePassOverTheWholeSlide(widths: [Int]) throws {
        try TestFolders.withTemporary { folder in
            let model = try PhantomFixture.model(widths: widths, folder: folder)
            let slide = try Slide(slide)
            let frame = try WorkingFrame(slide: slide, scale: slide.scale(), micronsPerPixel: 0.5)
            let tiles = TilePredictor(WorkingReader(slide: slide, frame: frame), model: model)
            let whole = try tiles.output(
                of: TileGrid.Tile(column: 0, row: 0, x: 0, y: 0, width: frame.width, height: frame.height)
            ).logOdds
            var worst: Float = 0
            for tile in TileGrid(frame: frame, side: 192, tissue: nil).rows.joined() {
                let part = try tiles.output(of: tile).logOdds
                for y in 0..<tile.height {
                    for x in 0..<tile.width {
                        let (a, b) = (part[x, y], whole[tile.x + x, tile.y + y])
                        worst = max(worst, abs(1 / (1 + exp(-a)) - 1 / (1 + exp(-b))))
                    }
                }
            }
            #expect(worst < 1e-5)
        }
    }

    @Test func cellsDoNotDependOnTheTileSize() throws {
        try TestFolders.withTemporary { folder in
            let model = try PhantomFixture.darknessModel(folder: folder)
            let small = try segment(model, folder.appendingPathComponent("128.sqlite"), tile: 128)
            let large = try segment(model, folder.appendingPathComponent("512.sqlite"), tile: 512)
            #expect(small.0.cells > 300)
            #expect(try cells(small.1) == cells(large.1))
        }
    }

    @Test(arguments: [1, 9, 17, 30]) func anInterruptedRunEndsWithTheSameCells(calls: Int) throws {
        try TestFolders.withTemporary { folder in
            let whole = try segment(
                PhantomFixture.darknessModel(folder: folder), folder.appendingPathComponent("a.sqlite"))
            let file = folder.appendingPathComponent("b.sqlite")
            #expect(throws: DarknessNetwork.Failure.self) {
                try segment(PhantomFixture.darknessModel(folder: folder, failAfter: calls), file)
            }
            let resumed = try segment(PhantomFixture.darknessModel(folder: folder), file)
            #expect(try cells(whole.1) == cells(resumed.1))
            let again = try segment(PhantomFixture.darknessModel(folder: folder), file)
            #expect(again.0.wasDone)
            #expect(try cells(again.1) == cells(whole.1))
        }
    }

    @Test func cellsLieWhereTheyAre() throws {
        try TestFolders.withTemporary { folder in
            let model = try PhantomFixture.darknessModel(folder: folder)
            let (_, store) = try segment(model, folder.appendingPathComponent("a.sqlite"))
            let truth = try CellEvaluation.readTruth(
                PhantomFixture.folder.appendingPathComponent("truth/phantom-1.csv"),
                types: ["lymphocyte", "tumour", "stroma"])
            let run = try #require(try store.finishedRuns(slideNamed: "phantom-1").first)
            let found = try store.centroids(run: run.id)
            let record = CellEvaluation.compare(
                found: found, truth: try #require(truth["phantom-1"]), distance: 4, withinMicrons: 2, source: "test")
            #expect(record.precision > 0.9, "dark blobs are nuclei, within 2 µm")
        }
    }

    @Test func aBadSlideCostsOnlyItself() throws {
        try TestFolders.withTemporary { folder in
            let bad = folder.appendingPathComponent("bad.svs")
            try Data("no slide".utf8).write(to: bad)
            let cut = folder.appendingPathComponent("cut.svs")
            try Data(contentsOf: slide).prefix(20_000).write(to: cut)
            let segmenter = SlideSegmenter(
                model: try PhantomFixture.darknessModel(folder: folder),
                store: try ResultStore(folder.appendingPathComponent("r.sqlite")), settings: settings(tile: 256))
            let other = PhantomFixture.folder.appendingPathComponent("phantom-2.svs")
            let results = try BatchSegmentation(segmenter: segmenter, workers: 2).run(
                [bad, slide, cut, other].map { SlideFile($0) }, progress: { _ in }, finished: { _ in })
            let failed = results.map { if case .failed = $0 { true } else { false } }
            #expect(failed == [true, false, true, false])
        }
    }

    @Test func anUnreadableTileCostsThatTile() throws {
        try TestFolders.withTemporary { folder in
            // Without its first bytes, a tile of level 0 is no JPEG any more.
            var bytes = try Data(contentsOf: slide)
            let start = try #require(
                bytes.range(of: Data([0xff, 0xd8, 0xff]), in: (bytes.count / 3)..<bytes.endIndex)?.lowerBound)
            bytes.replaceSubrange(start..<(start + 64), with: Data(count: 64))
            let hurt = folder.appendingPathComponent("hurt.svs")
            try bytes.write(to: hurt)
            let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
            let segmenter = SlideSegmenter(
                model: try PhantomFixture.darknessModel(folder: folder), store: store, settings: settings())
            let outcome = try segmenter.segment(hurt, modelID: segmenter.registerModel()) { _ in }
            #expect(outcome.cells > 100)
            var missed = 0
            try store.query("SELECT COUNT(*) FROM tile WHERE status = 'unreadable' AND message LIKE '%hurt.svs%'") {
                _, values in
                if case .integer(let count)? = values?.first { missed = Int(count) }
            }
            #expect(missed == outcome.unreadableTiles)
            #expect(missed > 0 && missed < 20, "some tiles of 49 are lost, not the slide")
            // A thread that fails must not take the handle from under the others: the same tiles are lost with many.
            for round in 0..<3 {
                let other = try ResultStore(folder.appendingPathComponent("threads-\(round).sqlite"))
                var threaded = SlideSegmenter(
                    model: try PhantomFixture.darknessModel(folder: folder), store: other, settings: settings())
                threaded.threads = 6
                let again = try threaded.segment(hurt, modelID: threaded.registerModel()) { _ in }
                #expect(again.unreadableTiles == missed && again.cells == outcome.cells)
            }
        }
    }
}
