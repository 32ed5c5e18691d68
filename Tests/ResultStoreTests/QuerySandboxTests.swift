import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import ResultStore

/// SQL of people who are not trusted.
@Suite(.serialized) struct QuerySandboxTests {
    private func withStore(_ body: (ResultStore, URL) throws -> Void) throws {
        try TestFolders.withTemporary { folder in
            let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
            _ = try store.model(
                ModelRecord(fingerprint: "f", name: "m", path: "/m", micronsPerPixel: 0.5, description: "{}"))
            try body(store, folder)
        }
    }

    @Test(arguments: [
        "SELECT name FROM model", "SELECT name FROM model -- a comment", "SELECT name FROM model;  ",
        "WITH x AS (SELECT name FROM model) SELECT * FROM x",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT SUM(i) FROM n",
        "SELECT json_extract(description, '$.x'), upper(name) FROM model", "SELECT * FROM slide_summary",
        "VALUES (1), (2)", "SELECT MIN(max_x) FROM cell_rtree",
    ]) func readingIsAllowed(_ sql: String) throws {
        try withStore { store, _ in _ = try QuerySandbox(store.url).run(sql) }
    }

    @Test(arguments: [
        "DELETE FROM model", "UPDATE model SET name = 'x'", "INSERT INTO model DEFAULT VALUES", "DROP TABLE model",
        "CREATE TABLE x (y)", "CREATE TEMP TABLE x (y)", "CREATE TEMP VIEW x AS SELECT 1",
        "WITH x AS (SELECT 1) DELETE FROM model RETURNING name", "DELETE FROM model RETURNING *",
        "INSERT INTO model (name) VALUES ('x') RETURNING id", "ATTACH '/tmp/x.sqlite' AS x", "DETACH main",
        "PRAGMA user_version = 9", "PRAGMA journal_mode = DELETE", "PRAGMA table_info(model)",
        "SELECT * FROM pragma_table_info('model')", "VACUUM", "VACUUM INTO '/tmp/copy.sqlite'", "REINDEX", "ANALYZE",
        "BEGIN", "COMMIT", "SAVEPOINT a", "SELECT load_extension('/tmp/x.so')", "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'y')", "SELECT fts3_tokenizer('simple')", "SELECT 1; DELETE FROM model",
        "SELECT 1; SELECT 2", "SELECT 1; nonsense", "", "   ", "-- nothing", "nonsense", "SELECT * FROM nowhere",
        "EXPLAIN DELETE FROM model", "SELECT zeroblob(2000000000)", "SELECT sqlite_log(1, 'x')",
        "SELECT group_concat(randomblob(9000000)) FROM (VALUES (1), (2), (3), (4))",
    ]) func everythingElseIsRefused(_ sql: String) throws {
        try withStore { store, folder in
            let error = try #require(throws: StoreError.self) { try QuerySandbox(store.url).run(sql) }
            #expect(error.code == .query)
            #expect(error.message.count > 10)
            #expect(try QuerySandbox(store.url).run("SELECT name FROM model").rows == [[.text("m")]], "nothing changed")
            #expect(!FileManager.default.fileExists(atPath: "/tmp/copy.sqlite"))
        }
    }

    @Test func whereFilesLieIsNotTold() throws {
        try withStore { store, _ in
            let table = try QuerySandbox(store.url).run("SELECT name, path, length(path) FROM model")
            #expect(table.rows == [[.text("m"), .null, .null]])
        }
    }

    @Test func aWorkerAnswersInJSON() throws {
        try withStore { store, _ in
            func answer(_ sql: String) throws -> (String, Int32) {
                let question = QueryWorker.Question(path: store.url.path, sql: sql, seconds: 2)
                let result = try Subprocess.run(
                    TestFolders.root.appendingPathComponent(".build/release/graticule-query").path, [],
                    input: JSONEncoder().encode(question))
                return (result.output, result.status)
            }
            let (table, status) = try answer("SELECT 1 AS a, 'x' AS b, NULL AS c, x'00ff' AS d, 9e999 AS e")
            #expect(status == 0)
            #expect(
                table.hasPrefix(
                    #"{"columns":["a","b","c","d","e"],"cut_off":false,"rows":[[1,"x",null,"(2 bytes)","inf"]]"#)
                    || table.contains(#"[[1,"x",null,"(2 bytes)","inf"]]"#))
            let (refusal, code) = try answer("DELETE FROM model")
            #expect(code == 1 && refusal.contains(#""is_of_query":true"#))
        }
    }

    private let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"

    @Test func aQueryWithoutEndIsEnded() throws {
        try withStore { store, _ in
            var limits = QuerySandbox.Limits()
            limits.seconds = 0.2
            let start = Date()
            #expect(throws: StoreError.self) { try QuerySandbox(store.url, limits: limits).run(endless) }
            #expect(Date().timeIntervalSince(start) < 5)
        }
    }

    @Test func aQueryEndsWithItsClient() throws {
        try withStore { store, _ in
            let cancellation = QuerySandbox.Cancellation()
            DispatchQueue.global().asyncAfter(deadline: .now() + 0.1) { cancellation.cancel() }
            let error = try #require(throws: StoreError.self) {
                try QuerySandbox(store.url).run(endless, cancellation: cancellation)
            }
            #expect(error.message.contains("cancelled"))
        }
    }

    /// Each of these took minutes or gigabytes before values, columns and memory had limits. (The one that takes memory
    /// before it runs is in service_attacks.py: SQLite's limit for that is the process's.)
    @Test(arguments: [
        "SELECT instr(hex(zeroblob(8000000)), hex(zeroblob(4000000)) || '1')",
        "SELECT \((0..<200).map { "randomblob(200000) AS c\($0)" }.joined(separator: ", "))",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT json_group_array(hex(randomblob(60000))) FROM n",
    ]) func aQueryTakesNeitherTheMachineNorTheThread(_ sql: String) throws {
        try withStore { store, _ in
            let start = Date()
            #expect(throws: StoreError.self) { try QuerySandbox(store.url).run(sql) }
            #expect(Date().timeIntervalSince(start) < 20)
        }
    }

    @Test func rowsAndBytesAreLimited() throws {
        try withStore { store, _ in
            let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT"
            let rows = try QuerySandbox(store.url).run("\(numbers) i FROM n")
            #expect(rows.rows.count == 10_000 && rows.isCutOff)
            var limits = QuerySandbox.Limits()
            limits.resultBytes = 1 << 20
            let bytes = try QuerySandbox(store.url, limits: limits).run("\(numbers) hex(zeroblob(5000)) FROM n")
            #expect(bytes.rows.count < 150 && bytes.isCutOff)
        }
    }
}

/// The service's queue and counts as they lie in the store.
@Suite struct JobStoreTests {
    @Test func jobsAreWorkedOnInOrderAndTheInterruptedOneFirst() throws {
        try TestFolders.withTemporary { folder in
            let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
            let jobs = try ["a", "b", "c"].map { try store.addJob(model: "m", slides: [$0, "z"]).id }
            #expect(try store.nextJob()?.id == jobs[0])
            #expect(try store.startJob(jobs[1]))
            #expect(try store.nextJob()?.id == jobs[1], "it ran when the service ended")
            try store.finishJobSlide("b", job: jobs[1], failure: nil)
            try store.finishJobSlide("z", job: jobs[1], failure: "it is no slide")
            #expect(try store.job(jobs[1]).slides.map(\.status) == ["done", "failed"])
            #expect(try store.endJob(jobs[1], status: "done"))
            #expect(try !store.endJob(jobs[1], status: "stopped"), "an ended job stays as it ended")
            #expect(try !store.startJob(jobs[1]))
            #expect(try store.nextJob()?.id == jobs[0])
            #expect(try store.jobs().map(\.id) == jobs.reversed())
            #expect(throws: StoreError.self) { try store.job(99) }
        }
    }

    @Test func aReadingReplacesTheReadersOwnAndNoOther() throws {
        try TestFolders.withTemporary { folder in
            let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
            let square = SquareRecord(slide: "s", level0X: 100, level0Y: 200, level0Side: 100, sideMicrons: 50)
            #expect(try store.addSquares([square]) == 1)
            var again = square
            again.round = 2
            #expect(try store.addSquares([again]) == 0, "a square that is there stays as it is")
            var reading = SquareReadingRecord(
                square: square, reader: "A. Pathologist", status: .open, points: [[110, 220], [150, 230]])
            #expect(try store.storeReading(reading))
            (reading.points, reading.status) = ([[111, 221]], .counted)
            #expect(try store.storeReading(reading))
            reading.reader = "B"
            (reading.points, reading.status, reading.note) = ([], .skipped, "out of focus")
            #expect(try store.storeReading(reading))
            let found = try store.squareReadings()
            #expect(found.map(\.reader) == ["A. Pathologist", "B"])
            #expect(found.map(\.points) == [[[111, 221]], []])
            #expect(found.map(\.status) == [.counted, .skipped])
            #expect(found[1].note == "out of focus" && found[0].readAt != nil)
            #expect(try store.squareReadings(by: "B").count == 1)
            reading.square.level0X = 7
            #expect(try !store.storeReading(reading), "there is no such square")
        }
    }
}
