import Failures
import Foundation
import GraticuleTesting
import GRDB
import Testing

@testable import ResultStore

struct ResultStoreTests {
    private func slide(_ name: String = "s", width: Int = 1000) -> SlideRecord {
        SlideRecord(
            name: name, path: "/\(name).svs", vendor: "test", width: width, height: 800, micronsPerPixel: 0.5,
            scaleSource: "properties", tissueSquareMillimeters: 0.2)
    }

    private let settings = RunSettings(
        text: "a", level0PerPixel: 1, threshold: 0.5, tileSide: 512, tileRows: 2, programVersion: "test")

    private func cell(_ x: Double) -> CellRecord {
        CellRecord(
            centroidX: x, centroidY: 5, areaSquareMicrons: 40, perimeterMicrons: 22, circularity: 0.9,
            meanProbability: 0.8, meanHematoxylin: 0.5, bounds: (x - 3, x + 3, 2, 8), polygon: [1, 2], maskX: 1,
            maskY: 2,
            maskWidth: 3, maskHeight: 4, mask: [48])
    }

    private func withStore(_ body: (ResultStore, URL) throws -> Void) throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("r.sqlite")
            try body(ResultStore(file), file)
        }
    }

    private func model(_ store: ResultStore) throws -> Int64 {
        try store.model(ModelRecord(fingerprint: "f", name: "m", path: "/m", micronsPerPixel: 0.5, description: "{}"))
    }

    @Test func aRunIsStoredRowByRowAndGoneOnWith() throws {
        try withStore { store, file in
            let model = try model(store)
            let region = RegionRecord(
                level0X: 0, level0Y: 0, level0Side: 100, probability: 0.35, coarseClass: 3, priorMean: 0.1,
                priorDeviation: 0.05)
            let run = try store.beginRun(slide: slide(), model: model, settings: settings, regions: [region])
            #expect(!run.isDone && run.nextTileRow == 0 && run.frontier == nil)
            let tile = TileRecord(
                row: 0, column: 0, level0X: 0, level0Y: 0, level0Width: 512, level0Height: 512, failure: nil,
                meanProbability: 0.1)
            try store.finishTileRow(
                run: run.id, nextTileRow: 1, frontier: Data([1, 2, 3]), tiles: [tile], cells: [cell(5), cell(50)],
                regionSums: [RegionSum(ordinal: 0, pixels: 100, probabilitySum: 20)])
            let again = try ResultStore(file).beginRun(
                slide: slide(), model: model, settings: settings, regions: [region])
            #expect(again.id == run.id && again.nextTileRow == 1 && again.frontier == Data([1, 2, 3]))
            try store.finishRun(run.id)
            #expect(try store.finishedRun(slide: slide(), model: model, settings: "a") == run.id)
            var rows: [[ResultStore.Value]] = []
            try store.query("SELECT cells, cells_per_mm2 FROM slide_summary") { _, values in
                if let values { rows.append(values) }
            }
            #expect(rows == [[.integer(2), .real(10)]])
            rows = []
            try store.query("SELECT predicted_fraction, ROUND(disagreement, 6) FROM region") { _, values in
                if let values { rows.append(values) }
            }
            #expect(rows == [[.real(0.2), .real(2)]])
            rows = []
            try store.query("SELECT COUNT(*) FROM cell_rtree WHERE min_x > 40") { _, values in
                if let values { rows.append(values) }
            }
            #expect(rows == [[.integer(1)]])
        }
    }

    @Test func twoProcessesCannotStoreTheSameRow() throws {
        try withStore { store, file in
            let run = try store.beginRun(slide: slide(), model: model(store), settings: settings, regions: [])
            func finish(_ store: ResultStore) throws {
                try store.finishTileRow(
                    run: run.id, nextTileRow: 1, frontier: Data(), tiles: [], cells: [cell(5)], regionSums: [])
            }
            try finish(store)
            #expect(throws: StoreError.self) { try finish(ResultStore(file)) }
            #expect(try store.cellCount(run: run.id) == 1)
        }
    }

    @Test func aDiscardedRunTakesEverythingWithIt() throws {
        try withStore { store, _ in
            let run = try store.beginRun(slide: slide(), model: model(store), settings: settings, regions: [])
            try store.finishTileRow(
                run: run.id, nextTileRow: 1, frontier: Data(), tiles: [], cells: [cell(5)], regionSums: [])
            try store.discardRun(run.id)
            for table in ["run", "cell", "cell_rtree", "tile"] {
                try store.query("SELECT COUNT(*) FROM \(table)") { _, values in
                    #expect(values == nil || values == [.integer(0)], "\(table)")
                }
            }
            try store.query("PRAGMA integrity_check") { _, values in #expect(values == nil || values == [.text("ok")]) }
        }
    }

    @Test func foreignAndNewerFilesAreRefusedAndLeftAlone() throws {
        try TestFolders.withTemporary { folder in
            let text = folder.appendingPathComponent("text.sqlite")
            try Data("hello, I am no database at all".utf8).write(to: text)
            #expect(throws: StoreError.self) { try ResultStore(text) }
            #expect(try String(contentsOf: text, encoding: .utf8) == "hello, I am no database at all")
            let foreign = folder.appendingPathComponent("foreign.sqlite")
            try DatabaseQueue(path: foreign.path).write { try $0.execute(sql: "CREATE TABLE t (x)") }
            #expect(throws: StoreError.self) { try ResultStore(foreign) }
            let newer = folder.appendingPathComponent("newer.sqlite")
            _ = try ResultStore(newer)
            try DatabaseQueue(path: newer.path).write { try $0.execute(sql: "PRAGMA user_version = 99") }
            let error = try #require(throws: StoreError.self) { try ResultStore(newer) }
            #expect(error.message.contains("99"))
            #expect(throws: StoreError.self) { try ResultStore(readOnly: newer) }
        }
    }

    @Test(arguments: [
        "DELETE FROM cell", "SELECT 1; SELECT 2", "SELEC", "", "INSERT INTO slide DEFAULT VALUES",
        "SELECT * FROM nothing",
        "PRAGMA user_version = 9",
    ]) func queriesCannotChangeTheFile(sql: String) throws {
        try withStore { store, file in
            let readOnly = try ResultStore(readOnly: file)
            let error = #expect(throws: (any Error).self) { try readOnly.query(sql) { _, _ in } }
            _ = error
            try readOnly.query("PRAGMA user_version") { _, values in #expect(values == nil || values == [.integer(6)]) }
        }
    }

    @Test func missingFilesAreNotMadeByAQuery() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("no.sqlite")
            #expect(throws: StoreError.self) { try ResultStore(readOnly: file) }
            #expect(!FileManager.default.fileExists(atPath: file.path))
            #expect(throws: StoreError.self) { try ResultStore(URL(fileURLWithPath: "/nowhere/r.sqlite")) }
        }
    }
}
