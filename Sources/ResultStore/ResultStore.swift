public import Foundation
internal import GRDB

/// A results file: slides, models, runs, tiles, regions, cells and evaluations in one SQLite database.
///
/// Each call is one transaction; a process killed at any point leaves a file that passes its integrity check.
public final class ResultStore: Sendable {
    public let url: URL
    let database: DatabaseQueue

    /// How long a call waits for another process that writes to the same file, in seconds.
    private static let busyTimeout: TimeInterval = 60

    /// Opens a results file, makes it where it does not exist, and brings an older one up to date.
    ///
    /// - Throws: ``StoreError`` where the file is no SQLite, of another program, of a newer version, or not writable.
    public init(_ url: URL) throws(StoreError) {
        self.url = url
        var configuration = Configuration()
        configuration.busyMode = .timeout(ResultStore.busyTimeout)
        configuration.journalMode = .wal
        configuration.foreignKeysEnabled = true
        do {
            try ResultStore.checkHeader(url)
            try ResultStore.checkUntouched(url)
            database = try DatabaseQueue(path: url.path, configuration: configuration)
            try ResultStore.migrate(database, path: url.path)
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    /// Opens an existing results file for reading only.
    public init(readOnly url: URL) throws(StoreError) {
        self.url = url
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw StoreError(.missing, "there is no results file at \(url.path)")
        }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(ResultStore.busyTimeout)
        do {
            try ResultStore.checkHeader(url)
            database = try DatabaseQueue(path: url.path, configuration: configuration)
            let path = url.path
            _ = try database.read { db in try ResultStore.checkVersion(db, path: path) }
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    /// SQLite would take a short or empty text file for a new database; only a missing or truly empty file is one.
    private static func checkHeader(_ url: URL) throws {
        guard let handle = FileHandle(forReadingAtPath: url.path) else { return }
        defer { try? handle.close() }
        let header = try handle.read(upToCount: 16) ?? Data()
        guard header.isEmpty || header == Data("SQLite format 3\0".utf8) else {
            throw StoreError(.foreign, "\(url.path) is no SQLite file: give another name to --results")
        }
    }

    /// Refuses another program's file, or a newer one, before anything of it is changed: even the journal mode is.
    private static func checkUntouched(_ url: URL) throws {
        let size = try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int
        guard let size, size > 0 else { return }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(busyTimeout)
        let path = url.path
        _ = try DatabaseQueue(path: path, configuration: configuration).read { db in try checkVersion(db, path: path) }
    }

    @discardableResult
    private static func checkVersion(_ db: Database, path: String) throws -> Int {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        let application = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let tables = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0
        guard application == Schema.applicationID || tables == 0 else {
            throw StoreError(.foreign, "\(path) is an SQLite file of another program: give another name to --results")
        }
        guard (0...Schema.currentVersion).contains(version) else {
            throw StoreError(
                .foreign,
                "\(path) has schema version \(version), newer than this program's \(Schema.currentVersion): update Graticule"
            )
        }
        return version
    }

    private static func migrate(_ database: DatabaseQueue, path: String) throws {
        try database.write { db in
            let version = try checkVersion(db, path: path)
            guard version < Schema.currentVersion else { return }
            for migration in Schema.migrations[version...] { try db.execute(sql: migration) }
            try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)")
            try db.execute(sql: "PRAGMA user_version = \(Schema.currentVersion)")
        }
    }

    func write<Result: Sendable>(_ body: @Sendable (Database) throws -> Result) throws(StoreError) -> Result {
        do {
            return try database.write(body)
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    func read<Result: Sendable>(_ body: @Sendable (Database) throws -> Result) throws(StoreError) -> Result {
        do {
            return try database.read(body)
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    static func now() -> String {
        let formatter = ISO8601DateFormatter()
        formatter.formatOptions = [.withInternetDateTime]
        return formatter.string(from: Date())
    }
}
