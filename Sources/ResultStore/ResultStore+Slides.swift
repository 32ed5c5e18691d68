public import Failures
internal import Foundation
internal import GRDB

/// A slide of a results file: one content under one name; it may have runs at several scales.
public struct SlideReference: Codable, Sendable, Equatable {
    public let name: String
    /// The file's name with its extension, and where it lay.
    public let file: String
    public let path: String
    /// Of its content.
    public let identity: String
    /// Whether another file lay at the same place when that was looked at last.
    public let isReplaced: Bool
}

/// Which slide is meant: several may have one name.
extension ResultStore {
    /// The slide that a text names: by its name, its file's name, its path or the end of it.
    ///
    /// Of a slide whose file was replaced only what is there by now is meant.
    ///
    /// - Throws: ``StoreError`` of code `missing` that says what there is where there is none, or which there are where it may be
    ///   any of several.
    public func slide(named text: String) throws(StoreError) -> SlideReference {
        let wanted = text.precomposedStringWithCanonicalMapping
        let path = url.path
        return try read { db in
            let found = try Row.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT name, file, path, identity, is_replaced FROM slide
                    WHERE name = :text OR file = :text OR path = :text
                        OR substr(path, -length(:text) - 1) = '/' || :text
                    ORDER BY path LIMIT 20
                    """, arguments: ["text": wanted]
            ).map { try SlideReference($0) }
            let present = found.filter { !$0.isReplaced }
            let candidates = present.isEmpty ? found : present
            guard let first = candidates.first else {
                let names = try String.fetchAll(
                    db, sql: "SELECT DISTINCT name FROM slide ORDER BY name LIMIT 6")
                throw StoreError(
                    .missing,
                    "\(path) has no slide named '\(text)'"
                        + (names.isEmpty ? "" : "; it has \(names.joined(separator: ", "))"))
            }
            guard Set(candidates.map(\.identity)).count == 1 else {
                throw StoreError(
                    .missing,
                    "\(path) has several slides named '\(text)': \(candidates.map(\.path).joined(separator: ", ")); say which "
                        + "one by its path")
            }
            return first
        }
    }

    /// Every slide, by name.
    public func slides() throws(StoreError) -> [SlideReference] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT DISTINCT name, file, path, identity, is_replaced FROM slide ORDER BY name, path"
            ).map { try SlideReference($0) }
        }
    }
}

extension SlideReference {
    init(_ row: Row) throws {
        self.init(
            name: try row.get(0), file: try row.get(1), path: try row.get(2), identity: try row.get(3),
            isReplaced: try row.get(4))
    }
}
