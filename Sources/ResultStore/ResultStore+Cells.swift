public import Failures
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

    /// - Throws: ``DamagedRow`` where a value cannot be that of a cell.
    init(_ row: Row) throws {
        id = try row.get(0)
        centroidX = try row.get(1)
        centroidY = try row.get(2)
        areaSquareMicrons = try row.get(3)
        perimeterMicrons = try row.get(4)
        circularity = try row.get(5)
        meanProbability = try row.get(6)
        meanHematoxylin = try row.get(7)
        polygon = [UInt8](try row.get(8) as Data)
        maskX = try row.get(9)
        maskY = try row.get(10)
        maskWidth = try row.get(11)
        maskHeight = try row.get(12)
        mask = [UInt8](try row.get(13) as Data)
        // Cells are cut into windows of some thousands of pixels; coordinates are those of a slide.
        let sides = 1...StoredCell.mostSide
        guard abs(centroidX) < 1e9, abs(centroidY) < 1e9, sides.contains(maskWidth), sides.contains(maskHeight),
            maskWidth * maskHeight <= StoredCell.mostPixels, (0...(1 << 24)).contains(maskX),
            (0...(1 << 24)).contains(maskY)
        else {
            throw DamagedRow(
                description:
                    "cell \(id) lies at (\(centroidX), \(centroidY)) with a mask of \(maskWidth)×\(maskHeight) px at (\(maskX), \(maskY))"
            )
        }
    }

    static let mostSide = 1 << 16
    static let mostPixels = 1 << 25
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
    /// Of the slide's content.
    public let slideIdentity: String

    /// Size of the slide in working pixels.
    public var workingWidth: Int { max(1, Int((Double(width) / level0PerPixel).rounded(.up))) }
    public var workingHeight: Int { max(1, Int((Double(height) / level0PerPixel).rounded(.up))) }
}

extension StoredRun {
    /// - Throws: ``DamagedRow`` where a value cannot be that of a run.
    init(_ row: Row) throws {
        self.init(
            id: try row.get(0), slide: try row.get(1), slidePath: try row.get(2), width: try row.get(3),
            height: try row.get(4), micronsPerPixel: try row.get(5), boundsX: try row.get(6), boundsY: try row.get(7),
            model: try row.get(8), modelPath: try row.get(9), modelFingerprint: try row.get(10),
            modelDescription: try row.get(11), level0PerPixel: try row.get(12), tileSide: try row.get(13),
            engine: try row.get(14), cells: try row.get(15), slideIdentity: try row.get(16))
        let sides = 1...(1 << 24)
        guard sides.contains(width), sides.contains(height), (1e-3...1e3).contains(micronsPerPixel),
            (1e-2...1e3).contains(level0PerPixel), (1...(1 << 16)).contains(tileSide), abs(boundsX) < 1e9,
            abs(boundsY) < 1e9, workingWidth * workingHeight <= 1 << 38
        else {
            throw DamagedRow(
                description:
                    "run \(id) is of a slide of \(width)×\(height) px of \(micronsPerPixel) µm, \(level0PerPixel) px to a working pixel, in tiles of \(tileSide) px"
            )
        }
    }
}

extension ResultStore {
    /// The last finished run of a slide.
    ///
    /// - Parameters:
    ///   - name: as ``slide(named:)`` takes it.
    ///   - model: name or fingerprint; nil for any.
    /// - Throws: ``StoreError`` that says what there is instead.
    public func finishedRun(ofSlide name: String, model: String? = nil) throws(StoreError) -> StoredRun {
        let path = url.path
        let slide = try slide(named: name)
        return try read { db in
            let row = try Row.fetchOne(
                db,
                sql: """
                    SELECT run.id, slide.name, slide.path, width, height, slide.microns_per_pixel, bounds_x, bounds_y,
                        model.name, model.path, fingerprint, description, level0_per_pixel, tile_side, engine,
                        (SELECT COUNT(*) FROM cell WHERE run_id = run.id), slide.identity
                    FROM run JOIN slide ON slide.id = slide_id JOIN model ON model.id = model_id
                    WHERE slide.identity = ? AND slide.name = ? AND run.status = 'done'
                        AND (? IS NULL OR model.name = ? OR fingerprint = ?)
                    ORDER BY run.id DESC LIMIT 1
                    """, arguments: [slide.identity, slide.name, model, model, model])
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
            return try StoredRun(row)
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
                while let row = try cursor.next() { try body(try StoredCell(row)) }
            }
        } catch let error where error is DatabaseError || error is DamagedRow {
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
            ).map { (try $0.get(0), try $0.get(1), try $0.get(2), try $0.get(3)) }
        }
    }
}
