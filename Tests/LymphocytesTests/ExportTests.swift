import BatchWork
import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import ResultStore
import Testing
import WholeSlide

@testable import Lymphocytes

@Suite struct ExportTests {
    private var slide: URL { PhantomFixture.folder.appendingPathComponent("phantom-1.svs") }

    /// A results file with phantom-1, segmented by a small network that can be loaded again.
    private func segmented(_ folder: URL) throws -> ResultStore {
        let model = try PhantomFixture.savedModel(folder.appendingPathComponent("model"))
        let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
        var settings = SegmentationSettings()
        settings.tileSide = 256
        settings.threshold = 0.6
        let segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        _ = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
        return store
    }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func peersReadWhatWeWrite() throws {
        let python = try #require(Subprocess.peersPython)
        let script = try #require(
            Bundle.module.url(forResource: "read_exports", withExtension: "py", subdirectory: "Peers"))
        try TestFolders.withTemporary { folder in
            let export = try CellExport(store: segmented(folder), slide: "phantom-1")
            #expect(export.run.cells > 100)
            for (format, name) in [
                (CellExport.Format.geoJSON, "cells.geojson.gz"), (.csv, "cells.csv"), (.tiaToolbox, "cells.db"),
                (.coco, "cells.json"), (.maskTIFF, "mask.tif"), (.probabilityTIFF, "probability.tif"),
                (.heatmap, "heatmap.txt"), (.heatmap, "heatmap.csv"),
            ] { try export.write(format, to: folder.appendingPathComponent(name)) }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.contains(".part") }
            #expect(left.isEmpty, "no temporary file stays")
            let result = try Subprocess.run(
                python, [script.path, folder.appendingPathComponent("r.sqlite").path, "phantom-1", folder.path])
            #expect(result.status == 0, "\(result.errors)")
        }
    }

    @Test func anExportedHeatmapIsReadAgain() throws {
        try TestFolders.withTemporary { folder in
            let export = try CellExport(store: segmented(folder), slide: "phantom-1")
            let files = ["prediction-phantom-1", "phantom-1.csv"].map { folder.appendingPathComponent($0) }
            for file in files { try export.write(.heatmap, to: file) }
            let (text, table) = (try Heatmap(files[0]), try Heatmap(files[1]))
            #expect(text.regions.count == table.regions.count)
            #expect(text.level0Side == 100)
            for (a, b) in zip(text.regions, table.regions) {
                #expect(a.level0X == b.level0X && a.level0Y == b.level0Y && a.probability == b.probability)
            }
            let slide = try Slide(slide)
            try text.check(fits: slide, scale: slide.scale())
        }
    }

    @Test func aFractionBecomesTheProbabilityOfItsClass() {
        let expected = [0, 0.01, 0.05, 0.05, 0.2]
        #expect(CellExport.probability(ofFraction: 0, expected: expected) == 0)
        #expect(abs(CellExport.probability(ofFraction: 0.03, expected: expected) - 0.4) < 1e-9)
        #expect(CellExport.probability(ofFraction: 0.3, expected: expected) == 0.9)
        let values = stride(from: 0.0, through: 0.3, by: 0.003).map {
            CellExport.probability(ofFraction: $0, expected: expected)
        }
        #expect(values == values.sorted())
    }

    @Test func aFullDiskLeavesNoHalfFile() throws {
        try TestFolders.withTemporary { folder in
            let export = try CellExport(store: segmented(folder), slide: "phantom-1")
            for format in CellExport.Format.allCases {
                #expect(throws: (any Error).self) {
                    try export.write(format, to: folder.appendingPathComponent("missing/cells.\(format.rawValue)"))
                }
            }
        }
    }

    @Test func partsMergeIntoTheWhole() throws {
        try TestFolders.withTemporary { folder in
            let model = try PhantomFixture.darknessModel(folder: folder)
            let slides = [slide, PhantomFixture.folder.appendingPathComponent("phantom-2.svs")]
            func segment(_ slides: [URL], _ name: String) throws -> ResultStore {
                let store = try ResultStore(folder.appendingPathComponent(name))
                let segmenter = SlideSegmenter(model: model, store: store, settings: SegmentationSettings())
                for slide in slides { _ = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in } }
                return store
            }
            let whole = try segment(slides, "whole.sqlite")
            let shards = try (1...2).map { number in
                try #require(Shard("\(number)/2")).part(of: slides)
            }
            #expect(shards.flatMap { $0 } == slides)
            for (index, part) in shards.enumerated() { _ = try segment(part, "part\(index).sqlite") }
            let joined = try ResultStore(folder.appendingPathComponent("joined.sqlite"))
            for _ in 0..<2 {
                for index in 0..<2 { _ = try joined.merge(folder.appendingPathComponent("part\(index).sqlite")) }
            }
            let sql = """
                SELECT slide.name, centroid_x, centroid_y, polygon, mask, min_x, max_y FROM cell
                JOIN cell_rtree USING (id) JOIN run ON run.id = run_id JOIN slide ON slide.id = slide_id ORDER BY 1, 2, 3
                """
            func rows(_ store: ResultStore, _ sql: String) throws -> [[ResultStore.Value]] {
                var rows: [[ResultStore.Value]] = []
                try store.query(sql) { _, values in if let values { rows.append(values) } }
                return rows
            }
            #expect(try rows(joined, sql) == rows(whole, sql))
            #expect(try rows(joined, sql).count > 300)
            let summary = "SELECT slide, cells, tissue_mm2, cells_per_mm2, seam_score FROM slide_summary ORDER BY 1"
            #expect(try rows(joined, summary) == rows(whole, summary))
            #expect(try rows(joined, "PRAGMA integrity_check") == [[.text("ok")]])
        }
    }

    @Test(arguments: ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"]) func nonsenseIsNoShard(text: String) {
        #expect(Shard(text) == nil)
    }

    @Test func aPartIsNeverGuessedFromWhatWasSubmitted() throws {
        let array = ["SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MAX": "4"]
        #expect(throws: InputError.self) { try Shard.refuseGuessing(inputs: 8, noun: "slides", environment: array) }
        // A task with a slide of its own has no part, and so has what is no task.
        try Shard.refuseGuessing(inputs: 1, noun: "slides", environment: array)
        try Shard.refuseGuessing(inputs: 8, noun: "slides", environment: [:])
    }
}
