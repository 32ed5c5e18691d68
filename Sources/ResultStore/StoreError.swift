internal import Foundation
internal import GRDB

/// What went wrong with a results file.
public struct StoreError: Error, CustomStringConvertible, Sendable {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        let name: String
        /// The file is no SQLite database, of another program, or of a newer version of this one.
        public static let foreign = Code(name: "foreign")
        /// The file cannot be opened, read or written: permissions, disk.
        public static let storage = Code(name: "storage")
        /// A query is malformed or would change the file.
        public static let query = Code(name: "query")
        /// A row that was asked for is not there.
        public static let missing = Code(name: "missing")
    }

    public let code: Code
    /// What failed, on which file, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    /// The error behind a failed database call, in a sentence.
    static func from(_ error: any Error, path: String) -> StoreError {
        if let error = error as? StoreError { return error }
        if error is DamagedRow { return StoreError(.storage, "results file \(path) is damaged: \(error)") }
        guard let error = error as? DatabaseError else {
            return StoreError(.storage, "results file \(path): \(error)")
        }
        let reason = error.message ?? "SQLite error \(error.resultCode.rawValue)"
        return switch error.resultCode {
        case .SQLITE_NOTADB: StoreError(.foreign, "\(path) is no SQLite file: give another name to --results")
        case .SQLITE_CORRUPT:
            StoreError(.storage, "results file \(path) is damaged: restore it or give another name (\(reason))")
        case .SQLITE_FULL:
            StoreError(.storage, "results file \(path): no space left on the disk; free some and run again")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            StoreError(.storage, "cannot open or write results file \(path): \(reason)")
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            StoreError(.storage, "results file \(path) is in use by another program; try again when it is done")
        case .SQLITE_IOERR: StoreError(.storage, "results file \(path): the disk reports an error (\(reason))")
        default: StoreError(.storage, "results file \(path): \(reason)")
        }
    }
}
