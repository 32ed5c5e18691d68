public import Failures
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
            try ResultStore.checkFile(url)
            try ResultStore.checkUntouched(url)
            database = try DatabaseQueue(path: url.path, configuration: configuration)
            try ResultStore.migrate(database, path: url.path)
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    /// Opens an existing results file for reading only, also where one may not write beside it.
    ///
    /// - Throws: ``StoreError`` where it is missing, foreign, or not whole without the `-wal` file that was beside it.
    public init(readOnly url: URL) throws(StoreError) {
        self.url = url
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw StoreError(.missing, "there is no results file at \(url.path)")
        }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(ResultStore.busyTimeout)
        do {
            try ResultStore.checkFile(url)
            database = try DatabaseQueue(path: ResultStore.readingPath(url), configuration: configuration)
            let path = url.path
            let version = try database.read { db in try ResultStore.checkVersion(db, path: path, isReading: true) }
            guard version == Schema.currentVersion else {
                // An older file is brought up to date where that is possible; else its tables are not those that are asked.
                guard ResultStore.isWritable(url) else {
                    throw StoreError(
                        .foreign,
                        "\(path) has schema version \(version), this program's is \(Schema.currentVersion): copy it to a folder of your own, where it is brought up to date when it is opened"
                    )
                }
                _ = try ResultStore(url)
                return
            }
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    /// Whether the file, or a new one at its place, can be written to. SQLite needs the folder too.
    public static func isWritable(_ url: URL) -> Bool {
        let folder = url.deletingLastPathComponent().path
        guard access(folder, W_OK) == 0 else { return false }
        return !FileManager.default.fileExists(atPath: url.path) || access(url.path, W_OK) == 0
    }

    /// How SQLite is told to open a file for reading.
    ///
    /// A database in WAL mode wants a file of shared memory beside it, even to be read. Where it can have none and there is no
    /// log of changes, nothing can change: then the file is read as it is.
    static func readingPath(_ url: URL) throws(StoreError) -> String {
        guard access(url.deletingLastPathComponent().path, W_OK) != 0 || access(url.path, W_OK) != 0 else {
            return url.path
        }
        let log = url.path + "-wal"
        let size = (try? FileManager.default.attributesOfItem(atPath: log)[.size] as? Int) ?? 0
        if size > 0 {
            // Its writer may still be at work, with the shared memory that is needed.
            if access(url.path + "-shm", R_OK) == 0 { return url.path }
            throw StoreError(
                .storage,
                "\(log) holds changes that cannot be read where one may not write: copy both files to a folder of your own"
            )
        }
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "/-._~")
        guard let path = url.path.addingPercentEncoding(withAllowedCharacters: allowed) else { return url.path }
        return "file:\(path)?immutable=1"
    }

    /// Whether a file is one of SQLite's, to tell results from tables.
    public static func isDatabase(_ url: URL) -> Bool {
        var configuration = Configuration()
        configuration.readonly = true
        let size = try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int
        guard let size, size > 0, (try? checkFile(url)) != nil,
            let database = try? DatabaseQueue(path: url.path, configuration: configuration)
        else { return false }
        return (try? database.read { db in try Int.fetchOne(db, sql: "PRAGMA schema_version") }) != nil
    }

    /// The smallest page of SQLite: a shorter file is none of its files, unless it is empty.
    private static let leastBytes: off_t = 512

    /// SQLite would take a short text file for a new database; only a missing or truly empty file is one.
    ///
    /// The file is not opened here: where a process closes any descriptor of a file, it loses all its locks on it (POSIX), those of
    /// SQLite's other connections too. Another program that looked into the file would then take the log for its own and delete
    /// it, with all that was written since.
    private static func checkFile(_ url: URL) throws {
        var status = stat()
        guard stat(url.path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw StoreError(.foreign, "\(url.path) is no results file: it is no regular file")
        }
        guard status.st_size == 0 || status.st_size >= leastBytes else {
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
        _ = try DatabaseQueue(path: readingPath(url), configuration: configuration)
            .read { db in try checkVersion(db, path: path) }
    }

    @discardableResult
    private static func checkVersion(_ db: Database, path: String, isReading: Bool = false) throws -> Int {
        let version = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        let application = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let tables = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0
        guard application == Schema.applicationID || tables == 0 else {
            throw StoreError(.foreign, "\(path) is an SQLite file of another program: give another name to --results")
        }
        // A copy that was made while a program wrote: what it had written lay in the log beside the file.
        guard !isReading || tables > 0 else {
            throw StoreError(
                .missing,
                "\(path) holds no results: if it was copied, \((path as NSString).lastPathComponent)-wal beside the original holds them; copy both, or wait for the program that writes them to end"
            )
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
        try database.inDatabase { db in
            guard try checkVersion(db, path: path) < Schema.currentVersion else { return }
            // Tables are built anew, which must not delete the rows that refer to them.
            try db.execute(sql: "PRAGMA foreign_keys = OFF")
            defer { try? db.execute(sql: "PRAGMA foreign_keys = ON") }
            try db.inTransaction(.immediate) {
                // Another process may have been first.
                let version = try checkVersion(db, path: path)
                guard version < Schema.currentVersion else { return .commit }
                for migration in Schema.migrations[version...] { try db.execute(sql: migration) }
                guard try Row.fetchOne(db, sql: "PRAGMA foreign_key_check") == nil else {
                    throw StoreError(
                        .storage, "results file \(path) is damaged: rows refer to others that are not there")
                }
                try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)")
                try db.execute(sql: "PRAGMA user_version = \(Schema.currentVersion)")
                return .commit
            }
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
