public import Failures
internal import Foundation
internal import GRDB

/// A square of a slide that is to be counted.
public struct SquareRecord: Codable, Sendable, Equatable {
    /// The slide's name, or its path within the folder where several share a name.
    public var slide: String
    /// Top left corner and side, level-0 pixels.
    public var level0X: Double
    public var level0Y: Double
    public var level0Side: Double
    public var sideMicrons: Double
    /// The class of the heatmap's region that it is, where it was drawn by class.
    public var coarseClass: Int?
    /// The round in which it was chosen, from 1.
    public var round: Int

    public init(
        slide: String, level0X: Double, level0Y: Double, level0Side: Double, sideMicrons: Double,
        coarseClass: Int? = nil, round: Int = 1
    ) {
        self.slide = slide
        self.level0X = level0X
        self.level0Y = level0Y
        self.level0Side = level0Side
        self.sideMicrons = sideMicrons
        self.coarseClass = coarseClass
        self.round = round
    }
}

/// What one reader has done with a square.
public struct SquareReadingRecord: Codable, Sendable, Equatable {
    public enum Status: String, Codable, Sendable {
        /// Begun: dots are kept, but it is no count yet.
        case open
        case counted
        /// It cannot be counted; ``SquareReadingRecord/note`` says why.
        case skipped
    }

    public var square: SquareRecord
    public var reader: String
    public var status: Status
    /// Where lymphocytes were clicked, level-0 px: x, y.
    public var points: [[Double]]
    public var note: String
    /// ISO 8601; set by the store.
    public var readAt: String?

    public init(
        square: SquareRecord, reader: String, status: Status, points: [[Double]], note: String = "",
        readAt: String? = nil
    ) {
        self.square = square
        self.reader = reader
        self.status = status
        self.points = points
        self.note = note
        self.readAt = readAt
    }
}

/// Squares that readers count, and what they counted.
extension ResultStore {
    /// Adds squares; those that are there already stay as they are.
    ///
    /// - Returns: how many are new.
    @discardableResult
    public func addSquares(_ squares: [SquareRecord]) throws(StoreError) -> Int {
        try write { db in
            let before = db.totalChangesCount
            for square in squares {
                try db.execute(
                    sql: """
                        INSERT OR IGNORE INTO square (slide, level0_x, level0_y, level0_side, side_um, class, round, added_at)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        square.slide, square.level0X, square.level0Y, square.level0Side, square.sideMicrons,
                        square.coarseClass, square.round, ResultStore.now(),
                    ])
            }
            return db.totalChangesCount - before
        }
    }

    /// Every square, by round and place.
    public func squares() throws(StoreError) -> [SquareRecord] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT slide, level0_x, level0_y, level0_side, side_um, class, round FROM square
                    ORDER BY round, slide, level0_y, level0_x, side_um
                    """
            ).map { try ResultStore.square($0) }
        }
    }

    /// The square at a place; nil where there is none.
    public func square(
        slide: String, level0X: Double, level0Y: Double, sideMicrons: Double
    ) throws(StoreError) -> SquareRecord? {
        try read { db in
            try Row.fetchOne(
                db,
                sql: """
                    SELECT slide, level0_x, level0_y, level0_side, side_um, class, round FROM square
                    WHERE slide = ? AND level0_x = ? AND level0_y = ? AND side_um = ?
                    """, arguments: [slide, level0X, level0Y, sideMicrons]
            ).map { try ResultStore.square($0) }
        }
    }

    /// Stores what a reader has done with a square, in place of what the same reader did before. Other readers' stay.
    ///
    /// - Returns: false where there is no such square.
    @discardableResult
    public func storeReading(_ reading: SquareReadingRecord) throws(StoreError) -> Bool {
        try write { db in
            let points = String(decoding: try JSONEncoder().encode(reading.points), as: UTF8.self)
            let square = reading.square
            try db.execute(
                sql: """
                    INSERT INTO square_reading (slide, level0_x, level0_y, side_um, reader, status, lymphocytes, points, note,
                        read_at)
                    SELECT slide, level0_x, level0_y, side_um, ?, ?, ?, ?, ?, ? FROM square
                        WHERE slide = ? AND level0_x = ? AND level0_y = ? AND side_um = ?
                    ON CONFLICT (slide, level0_x, level0_y, side_um, reader) DO UPDATE SET status = excluded.status,
                        lymphocytes = excluded.lymphocytes, points = excluded.points, note = excluded.note,
                        read_at = excluded.read_at
                    """,
                arguments: [
                    reading.reader, reading.status.rawValue, reading.points.count, points, reading.note,
                    ResultStore.now(), square.slide, square.level0X, square.level0Y, square.sideMicrons,
                ])
            return db.changesCount == 1
        }
    }

    /// What readers have done, by square and reader.
    ///
    /// - Parameter reader: only this one's; nil for all.
    public func squareReadings(by reader: String? = nil) throws(StoreError) -> [SquareReadingRecord] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT slide, level0_x, level0_y, level0_side, side_um, class, round, reader, status, points, note, read_at
                    FROM square JOIN square_reading USING (slide, level0_x, level0_y, side_um)
                    WHERE ?1 IS NULL OR reader = ?1
                    ORDER BY round, slide, level0_y, level0_x, side_um, reader
                    """, arguments: [reader]
            ).map { row in
                let points = try? JSONDecoder().decode([[Double]].self, from: Data((try row.get(9) as String).utf8))
                return SquareReadingRecord(
                    square: try ResultStore.square(row), reader: try row.get(7),
                    status: SquareReadingRecord.Status(rawValue: try row.get(8)) ?? .open, points: points ?? [],
                    note: try row.get(10), readAt: try row.get(11))
            }
        }
    }

    private static func square(_ row: Row) throws -> SquareRecord {
        SquareRecord(
            slide: try row.get(0), level0X: try row.get(1), level0Y: try row.get(2), level0Side: try row.get(3),
            sideMicrons: try row.get(4), coarseClass: try row.get(5), round: try row.get(6))
    }
}
