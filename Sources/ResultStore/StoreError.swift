public import Failures
internal import Foundation
internal import GRDB

/// What went wrong with a results file.
public enum StoreFailures {}

/// What went wrong with a results file.
public typealias StoreError = Failure<StoreFailures>

extension Failure.Code where Domain == StoreFailures {
    /// The file is no SQLite database, of another program, or of a newer version of this one.
    public static var foreign: Self { Self("foreign") }
    /// The file cannot be opened, read or written: permissions, disk.
    public static var storage: Self { Self("storage") }
    /// A query is malformed or would change the file.
    public static var query: Self { Self("query") }
    /// A row that was asked for is not there.
    public static var missing: Self { Self("missing") }
}

extension Failure where Domain == StoreFailures {
    /// The error behind a failed database call, in a sentence.
    static func from(_ error: any Error, path: String) -> StoreError {
        if let error = error as? StoreError { return error }
        if error is DamagedRow {
            return StoreError(.storage, "results file \(path) is damaged: \(error)", cause: error)
        }
        guard let failed = error as? DatabaseError else {
            return StoreError(.storage, "results file \(path): \(error)", cause: error)
        }
        if failed.resultCode == .SQLITE_NOTADB {
            return StoreError(.foreign, "\(path) is no SQLite file: give another name to --results", cause: error)
        }
        return StoreError(.storage, sentence(failed, path: path), cause: error)
    }

    private static func sentence(_ error: DatabaseError, path: String) -> String {
        let reason = error.message ?? "SQLite error \(error.resultCode.rawValue)"
        return switch error.resultCode {
        case .SQLITE_CORRUPT:
            "results file \(path) is damaged: restore it or give another name (\(reason))"
        case .SQLITE_FULL: "results file \(path): no space left on the disk; free some and run again"
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            "cannot open or write results file \(path): \(reason)"
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            "results file \(path) is in use by another program; try again when it is done"
        case .SQLITE_IOERR: "results file \(path): the disk reports an error (\(reason))"
        default: "results file \(path): \(reason)"
        }
    }
}
