public import Failures
internal import GRDB

/// A run as a viewer lists it.
public struct RunOverview: Codable, Sendable {
    public let id: Int64
    public let slide: String
    public let model: String
    /// running, done or failed.
    public let status: String
    public let message: String?
    public let threshold: Double
    /// µm per level-0 pixel of the slide.
    public let micronsPerPixel: Double
    public let tileSide: Double
    public let cells: Int
    public let tissueSquareMillimeters: Double?
    public let cellsPerSquareMillimeter: Double?
    public let meanAreaSquareMicrons: Double?
    public let coveredFraction: Double?
    public let unreadableTiles: Int
    public let flaggedSquares: Int
    public let nearestNeighborIndex: Double?
    public let seamScore: Double?
    /// Tile rows that are stored, and all of them.
    public let tileRowsDone: Int
    public let tileRows: Int
    public let finishedAt: String?
    public let regions: Int
    /// Which slide it is of.
    public let file: String
    public let path: String
    public let identity: String
    /// Whether another file lay at the slide's place later.
    public let isReplaced: Bool
}

/// A tile's sums; its frame is level-0 px.
public struct TileOverview: Codable, Sendable {
    public let x: Double
    public let y: Double
    public let width: Double
    public let height: Double
    public let cells: Int
    public let cellArea: Double
    public let meanProbability: Double?
    public let flag: String?
    public let status: String
}

/// A coarse region with what was found in it; level-0 px.
public struct RegionOverview: Codable, Sendable {
    public let ordinal: Int
    public let x: Double
    public let y: Double
    public let side: Double
    public let probability: Double
    public let coarseClass: Int
    public let expected: Double
    public let predicted: Double?
    /// (predicted − expected) / ρ, with ρ at least ``leastDeviation``; nil where the network was not asked.
    public let disagreement: Double?

    /// The lowest class has so small a ρ that a cell or two in an empty region would be the worst disagreement of all.
    public static let leastDeviation = 0.03
}

/// Cells by how likely they are.
public struct CellHistogram: Codable, Sendable, Equatable {
    /// Cells with a mean probability of at least 0, 0.01, … 1.
    public var cells = [Int](repeating: 0, count: 101)
    /// Their area together.
    public var areaSquareMicrons = [Double](repeating: 0, count: 101)
}

/// A patch set's evaluation.
public struct EvaluationOverview: Codable, Sendable {
    public let id: Int64
    public let patchSet: String
    public let model: String
    public let method: String
    public let positives: Int
    public let negatives: Int
    public let auc: Double
    public let aucLower: Double
    public let aucUpper: Double
    public let darknessAuc: Double
    public let calibrationError: Double?
}

/// A run with what is needed to show it.
public struct RunReference: Sendable {
    public let id: Int64
    /// Name and fingerprint of its model.
    public let model: String
    public let modelFingerprint: String
    public let status: String
    /// µm per level-0 pixel of the slide.
    public let micronsPerPixel: Double
    /// Of the slide's content.
    public let identity: String
}

/// What a viewer asks for. Rectangles are level-0 px; joins with the R*Tree are CROSS JOINs, since SQLite's planner would
/// rather go through all cells of the run.
extension ResultStore {
    /// Every run, by slide, the latest first.
    public func runs(ofSlide name: String? = nil) throws(StoreError) -> [RunOverview] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT run.id, slide.name, model.name, run.status, run.message, run.threshold,
                        slide.microns_per_pixel, tile_side * level0_per_pixel,
                        COALESCE(summary.cells, 0), summary.tissue_mm2, summary.cells_per_mm2, summary.mean_area_um2,
                        summary.covered_fraction, COALESCE(summary.unreadable_tiles, 0), COALESCE(summary.flagged_squares, 0),
                        summary.nearest_neighbor_index, summary.seam_score, next_tile_row, tile_rows, finished_at,
                        (SELECT COUNT(*) FROM region WHERE region.run_id = run.id), slide.file, slide.path, identity,
                        slide.is_replaced
                    FROM run JOIN slide ON slide.id = slide_id JOIN model ON model.id = model_id
                    LEFT JOIN slide_summary AS summary ON summary.run_id = run.id
                    WHERE ? IS NULL OR slide.name = ?
                    ORDER BY slide.name, run.id DESC
                    """, arguments: [name, name]
            ).map { row in
                RunOverview(
                    id: try row.get(0), slide: try row.get(1), model: try row.get(2), status: try row.get(3),
                    message: try row.get(4), threshold: try row.get(5),
                    micronsPerPixel: try row.get(6), tileSide: try row.get(7), cells: try row.get(8),
                    tissueSquareMillimeters: try row.get(9),
                    cellsPerSquareMillimeter: try row.get(10), meanAreaSquareMicrons: try row.get(11),
                    coveredFraction: try row.get(12),
                    unreadableTiles: try row.get(13), flaggedSquares: try row.get(14),
                    nearestNeighborIndex: try row.get(15),
                    seamScore: try row.get(16), tileRowsDone: try row.get(17), tileRows: try row.get(18),
                    finishedAt: try row.get(19),
                    regions: try row.get(20), file: try row.get(21), path: try row.get(22),
                    identity: try row.get(23), isReplaced: try row.get(24))
            }
        }
    }

    /// A run of the slides with a name; the latest where none is named. nil where there is none.
    ///
    /// - Parameter identity: of the slide's content; runs of another content are passed over.
    public func run(ofSlide name: String, identity: String?, id: Int64?) throws(StoreError) -> RunReference? {
        try read { db in
            try Row.fetchOne(
                db,
                sql: """
                    SELECT run.id, model.name, model.fingerprint, run.status, slide.microns_per_pixel, slide.identity
                    FROM slide JOIN run ON run.slide_id = slide.id JOIN model ON model.id = model_id
                    WHERE slide.name = ? AND (? IS NULL OR identity = ?) AND (? IS NULL OR run.id = ?)
                    ORDER BY run.id DESC LIMIT 1
                    """, arguments: [name, identity, identity, id, id]
            ).map {
                RunReference(
                    id: try $0.get(0), model: try $0.get(1), modelFingerprint: try $0.get(2), status: try $0.get(3),
                    micronsPerPixel: try $0.get(4),
                    identity: try $0.get(5))
            }
        }
    }

    /// The cells whose bounds meet a rectangle, up to `limit`.
    public func cells(
        run: Int64, minX: Double, minY: Double, maxX: Double, maxY: Double, minProbability: Double, limit: Int
    ) throws(StoreError) -> [StoredCell] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT \(StoredCell.columns) FROM cell_rtree CROSS JOIN cell ON cell.id = cell_rtree.id
                    WHERE cell_rtree.max_x >= ? AND cell_rtree.min_x <= ? AND cell_rtree.max_y >= ? AND cell_rtree.min_y <= ?
                        AND run_id = ? AND mean_probability >= ? LIMIT ?
                    """, arguments: [minX, maxX, minY, maxY, run, minProbability, limit]
            ).map { try StoredCell($0) }
        }
    }

    /// Centroids and areas (µm²) of the cells whose centroid lies in a rectangle.
    public func centroids(
        run: Int64, minX: Double, minY: Double, maxX: Double, maxY: Double
    ) throws(StoreError) -> [(x: Double, y: Double, area: Double)] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT centroid_x, centroid_y, area_um2 FROM cell_rtree CROSS JOIN cell ON cell.id = cell_rtree.id
                    WHERE cell_rtree.max_x >= ? AND cell_rtree.min_x <= ? AND cell_rtree.max_y >= ? AND cell_rtree.min_y <= ?
                        AND run_id = ?
                    """, arguments: [minX, maxX, minY, maxY, run]
            ).map { (try $0.get(0), try $0.get(1), try $0.get(2)) }
        }
    }

    /// Tiles that meet a rectangle.
    public func tiles(
        run: Int64, minX: Double, minY: Double, maxX: Double, maxY: Double
    ) throws(StoreError) -> [TileOverview] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT level0_x, level0_y, level0_width, level0_height, cells, cell_area_um2, mean_probability, flag,
                        status
                    FROM tile WHERE run_id = ? AND level0_x <= ? AND level0_x + level0_width >= ? AND level0_y <= ?
                        AND level0_y + level0_height >= ?
                    """, arguments: [run, maxX, minX, maxY, minY]
            ).map {
                TileOverview(
                    x: try $0.get(0), y: try $0.get(1), width: try $0.get(2), height: try $0.get(3),
                    cells: try $0.get(4), cellArea: try $0.get(5),
                    meanProbability: try $0.get(6), flag: try $0.get(7), status: try $0.get(8))
            }
        }
    }

    /// How many cells have a mean probability of at least 0, 0.01, … 1, and how large they are together.
    public func cellsByProbability(run: Int64) throws(StoreError) -> CellHistogram {
        try read { db in
            var histogram = CellHistogram()
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT MAX(0, MIN(100, CAST(mean_probability * 100 + 1e-9 AS INTEGER))), COUNT(*), TOTAL(area_um2)
                    FROM cell WHERE run_id = ? GROUP BY 1
                    """, arguments: [run])
            while let row = try rows.next() {
                let bin: Int = try row.get(0)
                guard histogram.cells.indices.contains(bin) else { continue }
                histogram.cells[bin] = try row.get(1)
                histogram.areaSquareMicrons[bin] = try row.get(2)
            }
            for index in stride(from: 99, through: 0, by: -1) {
                histogram.cells[index] += histogram.cells[index + 1]
                histogram.areaSquareMicrons[index] += histogram.areaSquareMicrons[index + 1]
            }
            return histogram
        }
    }

    /// The cells of a run whose centre lies in a polygon.
    ///
    /// - Parameters:
    ///   - polygon: its corners, level-0 px; it may cross itself (even-odd rule).
    ///   - minProbability: the least mean probability of a cell that counts.
    public func cells(
        in polygon: [(x: Double, y: Double)], run: Int64, minProbability: Double
    ) throws(StoreError) -> (count: Int, areaSquareMicrons: Double) {
        let xs = polygon.map(\.x)
        let ys = polygon.map(\.y)
        guard let minX = xs.min(), let maxX = xs.max(), let minY = ys.min(), let maxY = ys.max() else { return (0, 0) }
        return try read { db in
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT centroid_x, centroid_y, area_um2 FROM cell_rtree CROSS JOIN cell ON cell.id = cell_rtree.id
                    WHERE max_x >= ? AND min_x <= ? AND max_y >= ? AND min_y <= ? AND run_id = ? AND mean_probability >= ?
                    """, arguments: [minX, maxX, minY, maxY, run, minProbability])
            var (count, area) = (0, 0.0)
            while let row = try rows.next() {
                let (x, y): (Double, Double) = (try row.get(0), try row.get(1))
                var isInside = false
                var previous = polygon[polygon.count - 1]
                for corner in polygon {
                    if (corner.y > y) != (previous.y > y),
                        x < (previous.x - corner.x) * (y - corner.y) / (previous.y - corner.y) + corner.x
                    {
                        isInside.toggle()
                    }
                    previous = corner
                }
                guard isInside else { continue }
                count += 1
                area += try row.get(2)
            }
            return (count, area)
        }
    }

    /// The regions of a run, the worst disagreement first.
    public func regions(run: Int64, limit: Int) throws(StoreError) -> [RegionOverview] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT ordinal, level0_x, level0_y, level0_side, probability, class, prior_mean, predicted_fraction,
                        (predicted_fraction - prior_mean) / MAX(prior_deviation, ?2) AS z
                    FROM region WHERE run_id = ?1 ORDER BY ABS(z) DESC LIMIT ?3
                    """, arguments: [run, RegionOverview.leastDeviation, limit]
            ).map {
                RegionOverview(
                    ordinal: try $0.get(0), x: try $0.get(1), y: try $0.get(2), side: try $0.get(3),
                    probability: try $0.get(4), coarseClass: try $0.get(5),
                    expected: try $0.get(6), predicted: try $0.get(7), disagreement: try $0.get(8))
            }
        }
    }

    /// Every evaluation, the latest first.
    public func evaluations() throws(StoreError) -> [EvaluationOverview] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT evaluation.id, patch_set.name, model.name, method, positives, negatives, auc, auc_lower, auc_upper,
                        darkness_auc, calibration_error
                    FROM evaluation JOIN patch_set ON patch_set.id = patch_set_id JOIN model ON model.id = model_id
                    ORDER BY evaluation.id DESC
                    """
            ).map {
                EvaluationOverview(
                    id: try $0.get(0), patchSet: try $0.get(1), model: try $0.get(2), method: try $0.get(3),
                    positives: try $0.get(4), negatives: try $0.get(5),
                    auc: try $0.get(6), aucLower: try $0.get(7), aucUpper: try $0.get(8), darknessAuc: try $0.get(9),
                    calibrationError: try $0.get(10))
            }
        }
    }

    /// The scores of an evaluation's patches.
    public func patchScores(evaluation: Int64) throws(StoreError) -> [PatchScoreRecord] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: "SELECT file, label, is_lymphocyte, log_odds, darkness FROM patch_score WHERE evaluation_id = ?",
                arguments: [evaluation]
            ).map {
                PatchScoreRecord(
                    file: try $0.get(0), label: try $0.get(1), isLymphocyte: try $0.get(2), logOdds: try $0.get(3),
                    darkness: try $0.get(4))
            }
        }
    }

    /// The folders of the models that have run, by name; the latest of a name.
    public func modelFolders() throws(StoreError) -> [String: String] {
        try read { db in
            let rows = try Row.fetchAll(db, sql: "SELECT name, path FROM model ORDER BY id")
            return Dictionary(
                try rows.map { (try $0.get(0) as String, try $0.get(1) as String) }, uniquingKeysWith: { $1 })
        }
    }
}
