import Failures
import Foundation
import GraticuleTesting
import GRDB
import Testing

@testable import ResultStore

/// Results are known by all that made them, and a file from outside is never trusted.
struct ContentTests {
    private func slide(
        _ path: String, identity: String, micronsPerPixel: Double = 0.5, source: String = "properties"
    ) -> SlideRecord {
        SlideRecord(
            name: ((path as NSString).lastPathComponent as NSString).deletingPathExtension, path: path,
            identity: identity, vendor: "test", width: 1000, height: 800, micronsPerPixel: micronsPerPixel,
            scaleSource: source, tissueSquareMillimeters: 0.2)
    }

    private let settings = RunSettings(
        text: "a", level0PerPixel: 1, threshold: 0.5, tileSide: 512, tileRows: 1, programVersion: "test")

    private func model(_ store: ResultStore, _ fingerprint: String = "f", name: String = "m") throws -> Int64 {
        try store.model(
            ModelRecord(fingerprint: fingerprint, name: name, path: "/\(name)", micronsPerPixel: 0.5, description: "{}")
        )
    }

    /// A finished run with a cell.
    @discardableResult
    private func finish(_ store: ResultStore, _ slide: SlideRecord, model: Int64) throws -> Int64 {
        let run = try store.beginRun(slide: slide, model: model, settings: settings, regions: []).id
        let cell = CellRecord(
            centroidX: 5, centroidY: 5, areaSquareMicrons: 40, perimeterMicrons: 22, circularity: 0.9,
            meanProbability: 0.8, meanHematoxylin: 0.5, bounds: (3, 8, 2, 8), polygon: [1, 2], maskX: 1, maskY: 2,
            maskWidth: 3, maskHeight: 4, mask: [48])
        try store.finishTileRow(
            run: run, nextTileRow: 1, frontier: Data(), tiles: [], cells: [cell], regionSums: [])
        try store.finishRun(run)
        return run
    }

    /// The same in a file that is closed again.
    private func finishAlone(_ file: URL) throws {
        let store = try ResultStore(file)
        try finish(store, slide("/x.svs", identity: "1"), model: try model(store))
    }

    private func withStore(_ body: (ResultStore, URL) throws -> Void) throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("r.sqlite")
            try body(ResultStore(file), file)
        }
    }

    @Test func slidesOfOneNameLieSideBySide() throws {
        try withStore { store, file in
            let model = try model(store)
            let a = try finish(store, slide("/a/x.svs", identity: "1"), model: model)
            let b = try finish(store, slide("/b/x.svs", identity: "2"), model: model)
            let c = try finish(store, slide("/b/x.tif", identity: "3"), model: model)
            #expect(Set([a, b, c]).count == 3)
            #expect(try store.finishedRun(ofSlide: "a/x.svs").id == a)
            #expect(try store.finishedRun(ofSlide: "/b/x.svs").id == b)
            #expect(try store.finishedRun(ofSlide: "x.tif").id == c)
            let error = try #require(throws: StoreError.self) { try store.finishedRun(ofSlide: "x") }
            #expect(
                error.message
                    == "\(file.path) has several slides named 'x': /a/x.svs, /b/x.svs, /b/x.tif; say which one by its path"
            )
            #expect(try store.finishedRuns(slideNamed: "nothing").isEmpty)
            #expect(throws: StoreError.self) { try store.finishedRuns(slideNamed: "x") }
        }
    }

    @Test func anotherScaleOrContentIsNotDoneAlready() throws {
        try withStore { store, _ in
            let model = try model(store)
            let first = slide("/x.svs", identity: "1", source: "given")
            let run = try finish(store, first, model: model)
            func done(_ slide: SlideRecord) throws -> Int64? {
                try store.finishedRun(slide: slide, model: model, settings: "a")
            }
            #expect(try done(first) == run)
            #expect(try done(slide("/x.svs", identity: "1", micronsPerPixel: 0.25, source: "given")) == nil)
            #expect(try done(slide("/x.svs", identity: "1")) == nil, "the scale's source tells too")
            #expect(try done(slide("/x.svs", identity: "2", source: "given")) == nil)
            // A file that was replaced: what is there by now is meant by its name.
            let second = try finish(store, slide("/x.svs", identity: "2"), model: model)
            #expect(try store.finishedRun(ofSlide: "x").id == second)
            #expect(try store.slides().map(\.isReplaced) == [true, false])
        }
    }

    @Test func aRenamedModelIsDoneAlreadyAndDoesNotRenameHistory() throws {
        try withStore { store, _ in
            let old = try model(store, name: "old")
            let run = try finish(store, slide("/x.svs", identity: "1"), model: old)
            let new = try model(store, name: "new")
            #expect(try store.finishedRun(slide: slide("/x.svs", identity: "1"), model: new, settings: "a") == run)
            try finish(store, slide("/y.svs", identity: "2"), model: new)
            #expect(try store.finishedRun(ofSlide: "x").model == "old")
            #expect(try store.finishedRun(ofSlide: "y").model == "new")
            let other = try model(store, "other temperature", name: "new")
            #expect(try store.finishedRun(slide: slide("/y.svs", identity: "2"), model: other, settings: "a") == nil)
        }
    }

    @Test func mergedFilesKeepSlidesApartAndNameWhatIsMissing() throws {
        try TestFolders.withTemporary { folder in
            let stores = try (0..<3).map { try ResultStore(folder.appendingPathComponent("\($0).sqlite")) }
            let models = try stores.map { try model($0) }
            try finish(stores[0], slide("/a/x.svs", identity: "1"), model: models[0])
            try finish(stores[1], slide("/b/x.svs", identity: "2"), model: models[1])
            _ = try stores[1].beginRun(
                slide: slide("/b/y.svs", identity: "3"), model: models[1], settings: settings, regions: [])
            try stores[1].noteFailure(file: "z.svs", path: "/b/z.svs", reason: "it is cut off")
            #expect(try stores[2].merge(folder.appendingPathComponent("0.sqlite")).runs == 1)
            let outcome = try stores[2].merge(folder.appendingPathComponent("1.sqlite"))
            #expect(outcome.runs == 1 && outcome.unfinished.map(\.name) == ["y"])
            #expect(outcome.failed.map(\.file) == ["z.svs"] && outcome.failed.map(\.reason) == ["it is cut off"])
            #expect(try stores[2].stillOpen([outcome]).unfinished.count == 1)
            #expect(try stores[2].slides().map(\.path) == ["/a/x.svs", "/b/x.svs", "/b/y.svs"])
            // By now it could be used.
            try finish(stores[2], slide("/b/z.svs", identity: "4"), model: models[2])
            #expect(try stores[2].merge(folder.appendingPathComponent("1.sqlite")).failed.isEmpty)
            // What one merge found open, a later one may have done.
            try finish(stores[2], slide("/c/y.svs", identity: "3"), model: models[2])
            let open = try stores[2].stillOpen([outcome])
            #expect(open.unfinished.isEmpty && open.failed.isEmpty)
        }
    }

    @Test(arguments: [
        (
            "UPDATE run SET tile_side = -1",
            "run 1 is of a slide of 1000×800 px of 0.5 µm, 1.0 px to a working pixel, in tiles of -1 px"
        ),
        ("UPDATE run SET tile_side = 'wide'", "a row has 'wide' in column tile_side, where a whole number belongs"),
        ("UPDATE slide SET width = 1e300", "a row has 1e+300 in column width, where a whole number belongs"),
        ("UPDATE slide SET height = x'00'", "a row has 1 bytes in column height, where a whole number belongs"),
        (
            "UPDATE run SET level0_per_pixel = 9e999",
            "a row has inf in column level0_per_pixel, where a finite number belongs"
        ),
        ("UPDATE cell SET centroid_x = 9e999", "a row has inf in column centroid_x, where a finite number belongs"),
        ("UPDATE cell SET mask_width = -5", "cell 1 lies at (5.0, 5.0) with a mask of -5×4 px at (1, 2)"),
        ("UPDATE cell SET polygon = 'text'", "a row has 'text' in column polygon, where bytes belongs"),
    ]) func valuesFromOutsideAreErrors(change: String, wanted: String) throws {
        try withStore { store, file in
            try finish(store, slide("/x.svs", identity: "1"), model: try model(store))
            try store.write { db in try db.execute(sql: change) }
            let error = try #require(throws: StoreError.self) {
                let run = try store.finishedRun(ofSlide: "x")
                try store.forEachCell(run: run.id) { _ in }
                _ = try store.centroids(run: run.id)
            }
            #expect(error.message == "results file \(file.path) is damaged: \(wanted)")
        }
    }

    @Test func aFileOfTheFourthVersionIsBroughtUpToDateWithAllItHolds() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("old.sqlite")
            do {
                let old = try DatabaseQueue(path: file.path)
                try old.inDatabase { db in
                    for migration in Schema.migrations[..<4] { try db.execute(sql: migration) }
                    try db.execute(
                        sql: """
                            INSERT INTO slide (name, path, width, height, microns_per_pixel, scale_source, tissue_mm2)
                                VALUES ('x', '/a/x.svs', 1000, 800, 0.5, 'properties', 0.2);
                            INSERT INTO model (fingerprint, name, path, microns_per_pixel, description)
                                VALUES ('f', 'm', '/m', 0.5, '{}');
                            INSERT INTO run (slide_id, model_id, settings, status, started_at, program_version,
                                level0_per_pixel, threshold, tile_side, tile_rows) VALUES (1, 1, 'a', 'done', '', '', 1, 0.5, 512, 1);
                            INSERT INTO tile (run_id, tile_row, tile_column, level0_x, level0_y, level0_width, level0_height,
                                status, cells) VALUES (1, 0, 0, 0, 0, 512, 512, 'done', 7);
                            INSERT INTO run (slide_id, model_id, settings, status, started_at, program_version, next_tile_row,
                                level0_per_pixel, threshold, tile_side, tile_rows) VALUES (1, 1, 'b', 'running', '', '', 1, 1, 0.5, 512, 2);
                            INSERT INTO tile (run_id, tile_row, tile_column, level0_x, level0_y, level0_width, level0_height,
                                status, cells) VALUES (2, 0, 0, 0, 0, 512, 512, 'done', 3);
                            INSERT INTO cell (run_id, centroid_x, centroid_y, area_um2, perimeter_um, circularity,
                                mean_probability, mean_hematoxylin_od, polygon, mask_x, mask_y, mask_width, mask_height, mask)
                                VALUES (2, 1, 1, 1, 1, 1, 1, 1, x'', 0, 0, 1, 1, x'');
                            INSERT INTO cell_rtree VALUES (1, 0, 1, 0, 1);
                            INSERT INTO job (model, status, created_at) VALUES ('m', 'cancelled', '');
                            INSERT INTO job_slide VALUES (1, 0, 'x', 'done', NULL);
                            INSERT INTO region_count VALUES ('x', 0, 0, 100, 1, 2, '[]', 'me', '');
                            PRAGMA application_id = \(Schema.applicationID);
                            PRAGMA user_version = 4;
                            """)
                }
            }
            let store = try ResultStore(file)
            let run = try store.finishedRun(ofSlide: "x")
            #expect(run.id == 1 && run.slidePath == "/a/x.svs")
            #expect(try store.summary(run: 1).cells == 7 && store.summary(run: 1).tissueSquareMillimeters == 0.2)
            #expect(try store.job(1).status == "stopped" && store.job(1).slides.count == 1)
            let counted = try store.squareReadings()
            #expect(counted.map(\.reader) == ["me"] && counted.map(\.square.coarseClass) == [1])
            #expect(counted.map(\.status) == [.counted] && counted.map(\.square.sideMicrons) == [50])
            // What was begun by other rules is not gone on with.
            try store.query(
                "SELECT (SELECT COUNT(*) FROM run), (SELECT COUNT(*) FROM tile), (SELECT COUNT(*) FROM cell), (SELECT COUNT(*) FROM cell_rtree)"
            ) {
                #expect($1 == nil || $1 == [.integer(1), .integer(1), .integer(0), .integer(0)])
            }
            try store.query("PRAGMA foreign_key_check") { _, values in #expect(values == nil) }
            try store.query("PRAGMA integrity_check") { _, values in #expect(values == nil || values == [.text("ok")]) }
        }
    }

    @Test func aCopyWithoutItsLogSaysWhatIsMissing() throws {
        try withStore { store, file in
            try finish(store, slide("/x.svs", identity: "1"), model: try model(store))
            let copy = file.deletingLastPathComponent().appendingPathComponent("copy.sqlite")
            try FileManager.default.copyItem(at: file, to: copy)
            let error = try #require(throws: StoreError.self) { try ResultStore(readOnly: copy) }
            #expect(
                error.message
                    == "\(copy.path) holds no results: if it was copied, copy.sqlite-wal beside the original holds "
                    + "them; copy both, or wait for the program that writes them to end")
        }
    }

    /// Root may write anywhere but on a file system that is mounted for reading.
    @Test func aFinishedFileIsReadWhereOneMayNotWrite() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("r # %.sqlite")
            try finishAlone(file)
            #expect(!FileManager.default.fileExists(atPath: file.path + "-wal"), "a closed file is whole by itself")
            let mount = folder.appendingPathComponent("mount").path
            try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
            guard try Subprocess.run("/bin/sh", ["-c", "mount --bind -o ro '\(folder.path)' '\(mount)'"]).status == 0
            else { try Test.cancel("needs a mount for reading only, which is not allowed here") }
            defer { _ = try? Subprocess.run("/bin/sh", ["-c", "umount '\(mount)'"]) }
            let place = URL(fileURLWithPath: mount).appendingPathComponent("r # %.sqlite")
            try #require(!ResultStore.isWritable(place))
            #expect(try ResultStore(readOnly: place).finishedRun(ofSlide: "x").cells == 1)
            let other = try ResultStore(folder.appendingPathComponent("other.sqlite"))
            #expect(try other.merge(place).runs == 1)
        }
    }

    @Test func anotherProgramsLookCostsNothingThatIsWrittenAfterIt() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("r.sqlite")
            let store = try ResultStore(file)
            // A second connection of the same process, as the service has.
            let views = try ResultStore(readOnly: file)
            func counted() throws -> String {
                try Subprocess.run(
                    Subprocess.graticule,
                    ["query", file.path, "SELECT COUNT(*) FROM square", "--format", "csv"]
                ).output
            }
            #expect(try counted().hasSuffix("0\n"))
            try store.addSquares([
                SquareRecord(slide: "s", level0X: 0, level0Y: 0, level0Side: 100, sideMicrons: 50)
            ])
            #expect(try counted().hasSuffix("1\n"), "the log was deleted under the writer")
            #expect(try views.squares().count == 1)
        }
    }
}
