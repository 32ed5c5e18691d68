internal import CZlib
public import Failures
public import Foundation
internal import GRDB

/// Writes an annotation store of TIAToolbox (SQLiteStore 1.0.1); it has a temporary name until ``finish()``.
public final class AnnotationStore {
    private let url: URL
    private let written: URL
    private var database: DatabaseQueue?
    private var waiting: [Annotation] = []

    /// A polygon with its properties.
    public struct Annotation: Sendable {
        public var key: String
        public var centroidX: Double
        public var centroidY: Double
        public var bounds: (minX: Double, maxX: Double, minY: Double, maxY: Double)
        /// Well-known binary.
        public var polygon: [UInt8]
        /// A JSON object.
        public var properties: String
        public var area: Double

        public init(
            key: String, centroidX: Double, centroidY: Double,
            bounds: (minX: Double, maxX: Double, minY: Double, maxY: Double), polygon: [UInt8], properties: String,
            area: Double
        ) {
            self.key = key
            self.centroidX = centroidX
            self.centroidY = centroidY
            self.bounds = bounds
            self.polygon = polygon
            self.properties = properties
            self.area = area
        }
    }

    /// Annotations of one transaction.
    private static let batch = 5000

    public init(_ url: URL) throws(StoreError) {
        self.url = url
        written = url.deletingLastPathComponent().appendingPathComponent(
            ".\(url.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).part")
        try? FileManager.default.removeItem(at: written)
        do {
            let made = try DatabaseQueue(path: written.path)
            try made.write { db in
                try db.execute(
                    sql: """
                        CREATE VIRTUAL TABLE rtree USING rtree(id, min_x, max_x, min_y, max_y);
                        CREATE TABLE annotations(id INTEGER PRIMARY KEY, key TEXT UNIQUE, objtype TEXT, cx FLOAT NOT NULL,
                            cy FLOAT NOT NULL, geometry BLOB, properties TEXT, area FLOAT NOT NULL);
                        CREATE TABLE metadata (key TEXT UNIQUE, value TEXT);
                        INSERT INTO metadata VALUES ('version', '"1.0.1"'), ('compression', '"zlib"'),
                            ('compression_level', '9');
                        """)
            }
            database = made
        } catch {
            try? FileManager.default.removeItem(at: written)
            throw StoreError.from(error, path: url.path)
        }
    }

    deinit {
        database = nil
        try? FileManager.default.removeItem(at: written)
    }

    public func add(_ annotation: Annotation) throws(StoreError) {
        waiting.append(annotation)
        if waiting.count == AnnotationStore.batch { try flush() }
    }

    public func finish() throws(StoreError) {
        try flush()
        do {
            // TIAToolbox orders by area.
            try database?.write { db in try db.execute(sql: "CREATE INDEX area ON annotations (area)") }
            try database?.close()
            database = nil
            if rename(written.path, url.path) != 0 {
                throw StoreError(.storage, "cannot write \(url.path): \(String(cString: strerror(errno)))")
            }
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    private func flush() throws(StoreError) {
        let annotations = waiting
        waiting.removeAll(keepingCapacity: true)
        do {
            try database?.write { db in
                let insert = try db.cachedStatement(
                    sql: """
                        INSERT INTO annotations (key, objtype, cx, cy, geometry, properties, area)
                        VALUES (?, 'Polygon', ?, ?, ?, ?, ?)
                        """)
                let insertBounds = try db.cachedStatement(sql: "INSERT INTO rtree VALUES (?, ?, ?, ?, ?)")
                for item in annotations {
                    try insert.execute(arguments: [
                        item.key, item.centroidX, item.centroidY, try AnnotationStore.compressed(item.polygon),
                        item.properties, item.area,
                    ])
                    try insertBounds.execute(arguments: [
                        db.lastInsertedRowID, item.bounds.minX, item.bounds.maxX, item.bounds.minY, item.bounds.maxY,
                    ])
                }
            }
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    private static func compressed(_ bytes: [UInt8]) throws -> Data {
        var size = compressBound(uLong(bytes.count))
        var result = Data(count: Int(size))
        let status = result.withUnsafeMutableBytes { target in
            compress2(target.bindMemory(to: UInt8.self).baseAddress, &size, bytes, uLong(bytes.count), 9)
        }
        guard status == Z_OK else { throw StoreError(.storage, "zlib cannot compress an outline (status \(status))") }
        return result.prefix(Int(size))
    }
}
