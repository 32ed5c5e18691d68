internal import Foundation
internal import GRDB

/// A cell as it lies in the store.
public struct StoredCell: Sendable {
    public let id: Int64
    /// Level-0 pixels.
    public let centroidX: Double
    public let centroidY: Double
    public let areaSquareMicrons: Double
    public let perimeterMicrons: Double
    public let circularity: Double
    public let meanProbability: Double
    public let meanHematoxylin: Double
    /// Well-known binary, level-0 pixels.
    public let polygon: [UInt8]
    /// Working pixels.
    public let maskX: Int
    public let maskY: Int
    public let maskWidth: Int
    public let maskHeight: Int
    /// COCO compressed run lengths.
    public let mask: [UInt8]

    static let columns = """
        cell.id, centroid_x, centroid_y, area_um2, perimeter_um, circularity, mean_probability, mean_hematoxylin_od,
        polygon, mask_x, mask_y, mask_width, mask_height, mask
        """

    init(_ row: Row) {
        id = row[0]
        centroidX = row[1]
        centroidY = row[2]
        areaSquareMicrons = row[3]
        perimeterMicrons = row[4]
        circularity = row[5]
        meanProbability = row[6]
        meanHematoxylin = row[7]
        polygon = [UInt8](row[8] as Data)
        maskX = row[9]
        maskY = row[10]
        maskWidth = row[11]
        maskHeight = row[12]
        mask = [UInt8](row[13] as Data)
    }
}

/// A finished run with what an export needs of its slide and model.
public struct StoredRun: Sendable {
    public let id: Int64
    public let slide: String
    public let slidePath: String
    public let width: Int
    public let height: Int
    public let micronsPerPixel: Double
    /// Corner from which QuPath counts, level-0 px.
    public let boundsX: Double
    public let boundsY: Double
    public let model: String
    public let modelPath: String
    public let modelFingerprint: String
    /// `model.json`.
    public let modelDescription: String
    public let level0PerPixel: Double
    public let tileSide: Int
    public let engine: String
    public let cells: Int

    /// Size of the slide in working pixels.
    public var workingWidth: Int { max(1, Int((Double(width) / level0PerPixel).rounded(.up))) }
    public var workingHeight: Int { max(1, Int((Double(height) / level0PerPixel).rounded(.up))) }
}

extension ResultStore {
    /// The last finished run of a slide.
    ///
    /// - Parameter model: name or fingerprint; nil for any.
    /// - Throws: ``StoreError`` that says what there is instead.
    public func finishedRun(ofSlide name: String, model: String? = nil) throws(StoreError) -> StoredRun {
        let path = url.path
        return try read { db in
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT run.id, slide.name, slide.path, width, height, slide.microns_per_pixel, bounds_x, bounds_y,
                        model.name, model.path, fingerprint, description, level0_per_pixel, tile_side, engine,
                        (SELECT COUNT(*) FROM cell WHERE run_id = run.id)
                    FROM run JOIN slide ON slide.id = slide_id JOIN model ON model.id = model_id
                    WHERE slide.name = ? AND run.status = 'done' AND (? IS NULL OR model.name = ? OR fingerprint = ?)
                    ORDER BY run.id DESC LIMIT 1
                    """, arguments: [name, model, model, model])
            guard let row else {
                let names = try String.fetchAll(
                    db,
                    sql:
                        "SELECT DISTINCT slide.name FROM run JOIN slide ON slide.id = slide_id WHERE status = 'done' LIMIT 6"
                )
                throw StoreError(
                    .missing,
                    "\(path) has no finished run of a slide named '\(name)'"
                        + (model.map { " by model '\($0)'" } ?? "")
                        + (names.isEmpty ? "" : "; it has \(names.joined(separator: ", "))"))
            }
            return StoredRun(
                id: row[0], slide: row[1], slidePath: row[2], width: row[3], height: row[4], micronsPerPixel: row[5],
                boundsX: row[6], boundsY: row[7], model: row[8], modelPath: row[9], modelFingerprint: row[10],
                modelDescription: row[11], level0PerPixel: row[12], tileSide: row[13], engine: row[14],
                cells: row[15])
        }
    }

    /// Hands over the cells of a run one by one, in the order in which they were stored; memory holds one.
    public func forEachCell(run: Int64, _ body: (StoredCell) throws -> Void) throws {
        try stream(
            "SELECT \(StoredCell.columns) FROM cell WHERE run_id = ? ORDER BY id", arguments: [run], body)
    }

    /// Hands over the cells of a run whose bounds meet the level-0 rows from `top` to `bottom`.
    public func forEachCell(run: Int64, fromY top: Double, toY bottom: Double, _ body: (StoredCell) throws -> Void)
        throws
    {
        try stream(
            """
            SELECT \(StoredCell.columns) FROM cell_rtree CROSS JOIN cell ON cell.id = cell_rtree.id
            WHERE cell_rtree.max_y >= ? AND cell_rtree.min_y <= ? AND run_id = ?
            """, arguments: [top, bottom, run], body)
    }

    private func stream(
        _ sql: String, arguments: StatementArguments, _ body: (StoredCell) throws -> Void
    ) throws {
        do {
            try database.unsafeRead { db in
                let cursor = try Row.fetchCursor(db, sql: sql, arguments: arguments)
                while let row = try cursor.next() { try body(StoredCell(row)) }
            }
        } catch let error as DatabaseError {
            throw StoreError.from(error, path: url.path)
        }
    }

    /// Level-0 rectangles of a run's tiles that were read: where its tissue was looked at.
    public func tiles(run: Int64) throws(StoreError) -> [(x: Double, y: Double, width: Double, height: Double)] {
        try read { db in
            try Row.fetchAll(
                db,
                sql:
                    "SELECT level0_x, level0_y, level0_width, level0_height FROM tile WHERE run_id = ? AND status = 'done'",
                arguments: [run]
            ).map { ($0[0], $0[1], $0[2], $0[3]) }
        }
    }
}
