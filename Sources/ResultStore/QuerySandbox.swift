public import Failures
public import Foundation
internal import GRDBSQLite
internal import Synchronization

/// Runs SQL of people who are not trusted: one statement that only reads, for a limited time, with a limited result.
///
/// Each query has a connection of its own, opened for reading. SQLite's authorizer sees every action before the statement is
/// compiled, and allows selecting, reading columns and calling functions that stay within the database. Everything
/// else – writing, ATTACH, PRAGMA, transactions, loading extensions – is refused.
public struct QuerySandbox: Sendable {
    /// What a query may take.
    public struct Limits: Sendable {
        public var seconds = 5.0
        public var rows = 10_000
        public var resultBytes = 16 << 20
        public var sqlBytes = 100_000
        /// Of one value. A function call cannot be interrupted, and some take time that grows with its square.
        public var valueBytes = 256 << 10
        public var columns = 100

        public init() {}
    }

    /// A result; rows beyond the limit are cut off.
    public struct Table: Sendable {
        public let columns: [String]
        public let rows: [[ResultStore.Value]]
        public let isCutOff: Bool
    }

    /// Ends a running query from another thread.
    public final class Cancellation: Sendable {
        private let isMade = Mutex(false)

        public init() {}

        var isCancelled: Bool { isMade.withLock { $0 } }
        public func cancel() { isMade.withLock { $0 = true } }
    }

    private let url: URL
    private let limits: Limits

    private var path: String { url.path }

    public init(_ url: URL, limits: Limits = Limits()) {
        self.url = url
        self.limits = limits
    }

    /// What SQLite asks while a statement runs.
    private final class Watch {
        let deadline: Date
        let cancellation: Cancellation

        init(deadline: Date, cancellation: Cancellation) {
            self.deadline = deadline
            self.cancellation = cancellation
        }

        /// SQLite's memory, of all connections, beyond which queries end.
        static let mostMemory: Int64 = 256 << 20
        /// Beyond which SQLite itself refuses: some queries take memory before they run.
        static let hardMemory: Int64 = 512 << 20

        var isTooLarge: Bool { sqlite3_memory_used() > Watch.mostMemory }
        var mustStop: Bool { cancellation.isCancelled || isTooLarge || Date() > deadline }
    }

    /// Runs a statement on the calling thread.
    ///
    /// - Throws: ``StoreError`` of code `query` that says what is wrong with it.
    public func run(_ sql: String, cancellation: Cancellation = Cancellation()) throws(StoreError) -> Table {
        guard sql.utf8.count <= limits.sqlBytes else {
            throw StoreError(.query, "the query is longer than \(limits.sqlBytes) bytes")
        }
        guard !sql.utf8.contains(0) else { throw StoreError(.query, "the query holds a zero byte") }
        var connection: OpaquePointer?
        defer { sqlite3_close_v2(connection) }
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI
        guard sqlite3_open_v2(try ResultStore.readingPath(url), &connection, flags, nil) == SQLITE_OK,
            let connection
        else { throw StoreError(.storage, "cannot open results file \(path)") }
        restrict(connection)
        let watch = Watch(deadline: Date().addingTimeInterval(limits.seconds), cancellation: cancellation)
        return try withExtendedLifetime(watch) { () throws(StoreError) in
            sqlite3_progress_handler(
                connection, 100,
                { context in
                    guard let context else { return 1 }
                    return Unmanaged<Watch>.fromOpaque(context).takeUnretainedValue().mustStop ? 1 : 0
                }, Unmanaged.passUnretained(watch).toOpaque())
            return try fetch(try statement(sql, connection), connection, watch)
        }
    }

    /// Everything by which a statement could reach beyond reading this file, or take the machine's memory.
    private func restrict(_ connection: OpaquePointer) {
        sqlite3_hard_heap_limit64(Watch.hardMemory)
        sqlite3_busy_timeout(connection, 2000)
        sqlite3_extended_result_codes(connection, 1)
        for (limit, value) in [
            (SQLITE_LIMIT_LENGTH, Int32(limits.valueBytes)), (SQLITE_LIMIT_COLUMN, Int32(limits.columns)),
            (SQLITE_LIMIT_SQL_LENGTH, Int32(limits.sqlBytes)),
            (SQLITE_LIMIT_ATTACHED, 0), (SQLITE_LIMIT_EXPR_DEPTH, 200), (SQLITE_LIMIT_COMPOUND_SELECT, 100),
            (SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000), (SQLITE_LIMIT_WORKER_THREADS, 0),
        ] { sqlite3_limit(connection, limit, value) }
        // An R*Tree prepares its own statements, writing ones too, when it is first used: that comes before the authorizer.
        sqlite3_exec(connection, "SELECT 1 FROM cell_rtree LIMIT 0", nil, nil, nil)
        sqlite3_set_authorizer(
            connection,
            { _, action, table, detail, _, _ in
                switch action {
                case SQLITE_SELECT, SQLITE_RECURSIVE: return SQLITE_OK
                case SQLITE_READ:
                    let column =
                        "\(table.map { String(cString: $0) } ?? "").\(detail.map { String(cString: $0) } ?? "")"
                    // Read as NULL: where files lie is the service's own.
                    return QuerySandbox.hiddenColumns.contains(column.lowercased()) ? SQLITE_IGNORE : SQLITE_OK
                case SQLITE_FUNCTION:
                    let name = detail.map { String(cString: $0).lowercased() } ?? ""
                    return QuerySandbox.forbiddenFunctions.contains(name) ? SQLITE_DENY : SQLITE_OK
                default: return SQLITE_DENY
                }
            }, nil)
    }

    /// Columns that hold paths, or sentences with paths.
    private static let hiddenColumns: Set<String> = [
        "slide.path", "model.path", "patch_set.path", "run.message", "tile.message", "job.message", "job_slide.message",
        "cell_evaluation.truth", "failed_input.path", "failed_input.reason",
    ]

    /// Functions that reach files or the connection, or the log that operators read; the shell's are listed in case a build has them.
    private static let forbiddenFunctions: Set<String> = [
        "load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "lsdir", "fsdir", "sqlar_compress",
        "sqlite_log", "sqlite_attach", "sqlite_detach", "sqlite_rename_table", "sqlite_rename_column",
    ]

    private func statement(_ sql: String, _ connection: OpaquePointer) throws(StoreError) -> OpaquePointer {
        var statement: OpaquePointer?
        var rest = ""
        let status = sql.withCString { text in
            var tail: UnsafePointer<CChar>?
            let status = sqlite3_prepare_v2(connection, text, -1, &statement, &tail)
            if let tail { rest = String(cString: tail) }
            return status
        }
        guard status == SQLITE_OK else { throw failure(connection, status) }
        guard let statement else { throw StoreError(.query, "there is no statement in the query") }
        func refuse(_ message: String) -> StoreError {
            sqlite3_finalize(statement)
            return StoreError(.query, message)
        }
        // Comments and semicolons may follow; a second statement may not, not even one that would fail.
        if !rest.isEmpty {
            var second: OpaquePointer?
            let status = sqlite3_prepare_v2(connection, rest, -1, &second, nil)
            sqlite3_finalize(second)
            if second != nil || status != SQLITE_OK { throw refuse("only one statement is run at a time") }
        }
        guard sqlite3_stmt_readonly(statement) != 0, sqlite3_column_count(statement) > 0,
            sqlite3_stmt_isexplain(statement) == 0 || sqlite3_column_count(statement) > 0
        else { throw refuse("only SELECT statements are run") }
        return statement
    }

    private func fetch(
        _ statement: OpaquePointer, _ connection: OpaquePointer, _ watch: Watch
    ) throws(StoreError) -> Table {
        defer { sqlite3_finalize(statement) }
        let count = sqlite3_column_count(statement)
        let columns = (0..<count).map { sqlite3_column_name(statement, $0).map { String(cString: $0) } ?? "" }
        var rows: [[ResultStore.Value]] = []
        var bytes = 0
        while true {
            let status = sqlite3_step(statement)
            if status == SQLITE_DONE { return Table(columns: columns, rows: rows, isCutOff: false) }
            guard status == SQLITE_ROW else {
                if status & 0xff == SQLITE_INTERRUPT {
                    throw StoreError(
                        .query,
                        watch.cancellation.isCancelled
                            ? "the query was cancelled"
                            : watch.isTooLarge
                                ? "the query takes too much memory: narrow it down"
                                : "the query took longer than \(Int(limits.seconds)) s: narrow it down, or use the command line"
                    )
                }
                throw failure(connection, status)
            }
            if rows.count == limits.rows || bytes > limits.resultBytes {
                return Table(columns: columns, rows: rows, isCutOff: true)
            }
            let row = (0..<count).map { QuerySandbox.value(statement, $0) }
            bytes += row.reduce(0) { $0 + QuerySandbox.size($1) }
            rows.append(row)
        }
    }

    private static func value(_ statement: OpaquePointer, _ column: Int32) -> ResultStore.Value {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: return .real(sqlite3_column_double(statement, column))
        case SQLITE_TEXT: return .text(sqlite3_column_text(statement, column).map { String(cString: $0) } ?? "")
        case SQLITE_BLOB:
            let count = Int(sqlite3_column_bytes(statement, column))
            guard let bytes = sqlite3_column_blob(statement, column) else { return .blob([]) }
            return .blob([UInt8](UnsafeRawBufferPointer(start: bytes, count: count)))
        default: return .null
        }
    }

    private static func size(_ value: ResultStore.Value) -> Int {
        switch value {
        case .text(let text): text.utf8.count + 16
        case .blob(let bytes): 2 * bytes.count + 16
        default: 16
        }
    }

    private func failure(_ connection: OpaquePointer, _ status: Int32) -> StoreError {
        let message = sqlite3_errmsg(connection).map { String(cString: $0) } ?? "SQLite error \(status)"
        switch status & 0xff {
        case SQLITE_NOMEM: return StoreError(.query, "the query takes too much memory: narrow it down")
        case SQLITE_AUTH: return StoreError(.query, "the query is not allowed here: it may only read (\(message))")
        case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_IOERR, SQLITE_CANTOPEN, SQLITE_BUSY:
            return StoreError(.storage, "results file \(path): \(message)")
        default: return StoreError(.query, "the query cannot be run: \(message)")
        }
    }
}
