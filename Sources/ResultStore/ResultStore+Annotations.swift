public import Failures
internal import Foundation
internal import GRDB

/// What a reader drew or marked on a slide.
public struct AnnotationRecord: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        /// A polygon of interest.
        case region
        /// A cell that was found and is none.
        case wrong
        /// A cell that was not found.
        case missing
    }

    /// Set by the store.
    public var id: Int64?
    public var slide: String
    public var kind: Kind
    /// The polygon's corners, or the one place, level-0 px: x, y.
    public var points: [[Double]]
    /// The cell that is meant by `wrong`, while it is stored.
    public var cell: Int64?
    public var note: String
    public var reader: String
    /// ISO 8601; set by the store.
    public var madeAt: String?

    public init(
        slide: String, kind: Kind, points: [[Double]], cell: Int64? = nil, note: String = "", reader: String
    ) {
        self.slide = slide
        self.kind = kind
        self.points = points
        self.cell = cell
        self.note = note
        self.reader = reader
    }
}

/// What readers draw and mark on slides.
extension ResultStore {
    /// - Returns: the annotation with its identifier.
    public func addAnnotation(_ annotation: AnnotationRecord) throws(StoreError) -> AnnotationRecord {
        try write { db in
            let now = ResultStore.now()
            let points = String(decoding: try JSONEncoder().encode(annotation.points), as: UTF8.self)
            try db.execute(
                sql: """
                    INSERT INTO annotation (slide, kind, points, cell_id, note, reader, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    annotation.slide, annotation.kind.rawValue, points, annotation.cell, annotation.note,
                    annotation.reader, now,
                ])
            var stored = annotation
            stored.id = db.lastInsertedRowID
            stored.madeAt = now
            return stored
        }
    }

    /// Removes an annotation; false where there is none.
    public func removeAnnotation(_ id: Int64) throws(StoreError) -> Bool {
        try write { db in
            try db.execute(sql: "DELETE FROM annotation WHERE id = ?", arguments: [id])
            return db.changesCount == 1
        }
    }

    /// The annotations of a slide, or of all, in the order in which they were made.
    public func annotations(ofSlide slide: String? = nil) throws(StoreError) -> [AnnotationRecord] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT id, slide, kind, points, cell_id, note, reader, made_at FROM annotation
                    WHERE ?1 IS NULL OR slide = ?1 ORDER BY id
                    """, arguments: [slide]
            ).map { row in
                let points = try? JSONDecoder().decode([[Double]].self, from: Data((try row.get(3) as String).utf8))
                var annotation = AnnotationRecord(
                    slide: try row.get(1), kind: AnnotationRecord.Kind(rawValue: try row.get(2)) ?? .region,
                    points: points ?? [], cell: try row.get(4), note: try row.get(5), reader: try row.get(6))
                annotation.id = try row.get(0)
                annotation.madeAt = try row.get(7)
                return annotation
            }
        }
    }
}
