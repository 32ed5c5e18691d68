internal import Failures
internal import Foundation
internal import GRDB

/// Queries by hand.
extension ResultStore {
    /// A value of a query's result.
    public enum Value: Hashable, Sendable {
        case null
        case integer(Int64)
        case real(Double)
        case text(String)
        case blob([UInt8])
    }

    /// Runs one read-only SQL statement and gives its rows one by one, so that a result of any size takes little memory.
    ///
    /// - Parameter row: gets the column names and the values of each row; the first call has no values.
    /// - Throws: ``StoreError`` where the SQL is malformed, is several statements, or would change the file.
    public func query(_ sql: String, row: ([String], [Value]?) throws -> Void) throws {
        do {
            try database.unsafeRead { db in
                let statement = try db.makeStatement(sql: sql)
                let names = statement.columnNames
                guard !names.isEmpty else {
                    throw StoreError(.query, "the query gives no rows; only SELECT statements are run")
                }
                let cursor = try Row.fetchCursor(statement)
                try row(names, nil)
                while let next = try cursor.next() { try row(names, next.map { ResultStore.value($0.1) }) }
            }
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_ERROR, .SQLITE_MISUSE, .SQLITE_READONLY, .SQLITE_AUTH:
                throw StoreError(.query, "the query cannot be run: \(error.message ?? "\(error)")", cause: error)
            default: throw StoreError.from(error, path: url.path)
            }
        }
    }

    private static func value(_ value: DatabaseValue) -> Value {
        switch value.storage {
        case .null: .null
        case .int64(let number): .integer(number)
        case .double(let number): .real(number)
        case .string(let text): .text(text)
        case .blob(let data): .blob([UInt8](data))
        }
    }
}
