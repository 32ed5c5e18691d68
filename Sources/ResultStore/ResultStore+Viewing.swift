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
    public let flaggedTiles: Int
    public let nearestNeighborIndex: Double?
    public let seamScore: Double?
    /// Tile rows that are stored, and all of them.
    public let tileRowsDone: Int
    public let tileRows: Int
    public let finishedAt: String?
    public let regions: Int
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
    /// (predicted − expected) / ρ
    public let disagreement: Double?
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
                        summary.covered_fraction, COALESCE(summary.unreadable_tiles, 0), COALESCE(summary.flagged_tiles, 0),
                        summary.nearest_neighbor_index, summary.seam_score, next_tile_row, tile_rows, finished_at,
                        (SELECT COUNT(*) FROM region WHERE region.run_id = run.id)
                    FROM run JOIN slide ON slide.id = slide_id JOIN model ON model.id = model_id
                    LEFT JOIN slide_summary AS summary ON summary.run_id = run.id
                    WHERE ? IS NULL OR slide.name = ?
                    ORDER BY slide.name, run.id DESC
                    """, arguments: [name, name]
            ).map { row in
                RunOverview(
                    id: row[0], slide: row[1], model: row[2], status: row[3], message: row[4], threshold: row[5],
                    micronsPerPixel: row[6], tileSide: row[7], cells: row[8], tissueSquareMillimeters: row[9],
                    cellsPerSquareMillimeter: row[10], meanAreaSquareMicrons: row[11], coveredFraction: row[12],
                    unreadableTiles: row[13], flaggedTiles: row[14], nearestNeighborIndex: row[15],
                    seamScore: row[16], tileRowsDone: row[17], tileRows: row[18], finishedAt: row[19],
                    regions: row[20])
            }
        }
    }

    /// A run of a slide; the latest where none is named. nil where there is none.
    public func run(ofSlide name: String, id: Int64?) throws(StoreError) -> RunReference? {
        try read { db in
            try Row.fetchOne(
                db,
                sql: """
                    SELECT run.id, model.name, model.fingerprint, run.status, slide.microns_per_pixel
                    FROM slide JOIN run ON run.slide_id = slide.id JOIN model ON model.id = model_id
                    WHERE slide.name = ? AND (? IS NULL OR run.id = ?) ORDER BY run.id DESC LIMIT 1
                    """, arguments: [name, id, id]
            ).map {
                RunReference(
                    id: $0[0], model: $0[1], modelFingerprint: $0[2], status: $0[3], micronsPerPixel: $0[4])
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
            ).map { StoredCell($0) }
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
            ).map { ($0[0], $0[1], $0[2]) }
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
                    x: $0[0], y: $0[1], width: $0[2], height: $0[3], cells: $0[4], cellArea: $0[5],
                    meanProbability: $0[6], flag: $0[7], status: $0[8])
            }
        }
    }

    /// How many cells have a mean probability of at least 0, 0.01, … 1.
    public func cellsByProbability(run: Int64) throws(StoreError) -> [Int] {
        try read { db in
            var bins = [Int](repeating: 0, count: 101)
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT MAX(0, MIN(100, CAST(mean_probability * 100 + 1e-9 AS INTEGER))), COUNT(*) FROM cell
                    WHERE run_id = ? GROUP BY 1
                    """, arguments: [run])
            while let row = try rows.next() { bins[row[0]] = row[1] }
            for index in stride(from: 99, through: 0, by: -1) { bins[index] += bins[index + 1] }
            return bins
        }
    }

    /// The regions of a run, the worst disagreement first.
    public func regions(run: Int64, limit: Int) throws(StoreError) -> [RegionOverview] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT ordinal, level0_x, level0_y, level0_side, probability, class, prior_mean, predicted_fraction,
                        disagreement
                    FROM region WHERE run_id = ? ORDER BY ABS(disagreement) DESC LIMIT ?
                    """, arguments: [run, limit]
            ).map {
                RegionOverview(
                    ordinal: $0[0], x: $0[1], y: $0[2], side: $0[3], probability: $0[4], coarseClass: $0[5],
                    expected: $0[6], predicted: $0[7], disagreement: $0[8])
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
                    id: $0[0], patchSet: $0[1], model: $0[2], method: $0[3], positives: $0[4], negatives: $0[5],
                    auc: $0[6], aucLower: $0[7], aucUpper: $0[8], darknessAuc: $0[9], calibrationError: $0[10])
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
            ).map { PatchScoreRecord(file: $0[0], label: $0[1], isLymphocyte: $0[2], logOdds: $0[3], darkness: $0[4]) }
        }
    }

    /// The folders of the models that have run, by name; the latest of a name.
    public func modelFolders() throws(StoreError) -> [String: String] {
        try read { db in
            let rows = try Row.fetchAll(db, sql: "SELECT name, path FROM model ORDER BY id")
            return Dictionary(rows.map { ($0[0] as String, $0[1] as String) }, uniquingKeysWith: { $1 })
        }
    }
}
