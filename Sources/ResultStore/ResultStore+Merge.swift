public import Failures
public import Foundation
internal import GRDB

extension ResultStore {
    /// What a merge did.
    public struct MergeOutcome: Sendable {
        /// Runs that were copied.
        public var runs = 0
        public var cells = 0
        /// Runs that this file has already, finished.
        public var known = 0
        /// Runs that are not finished in the other file, and in this one neither: they stay there.
        public var unfinished: [UnfinishedRun] = []
        /// Inputs that could not be used there, and are not done here.
        public var failed: [UnusableInput] = []
    }

    /// A run that a merge left where it was.
    public struct UnfinishedRun: Sendable, Hashable {
        /// Of the slide.
        public let name: String
        let slide: Int64
        let model: Int64
    }

    /// An input that could not be used.
    public struct UnusableInput: Sendable, Hashable {
        public let file: String
        public let path: String
        public let reason: String
    }

    /// Those of what several merges found open that no later one has done.
    public func stillOpen(
        _ outcomes: [MergeOutcome]
    ) throws(StoreError) -> (unfinished: Set<UnfinishedRun>, failed: Set<UnusableInput>) {
        let unfinished = Set(outcomes.flatMap(\.unfinished))
        let failed = Set(outcomes.flatMap(\.failed))
        return try read { db in
            (
                try unfinished.filter { run in
                    try Row.fetchOne(
                        db, sql: "SELECT 1 FROM run WHERE slide_id = ? AND model_id = ? AND status = 'done'",
                        arguments: [run.slide, run.model]) == nil
                },
                try failed.filter { input in
                    try Row.fetchOne(db, sql: "SELECT 1 FROM failed_input WHERE path = ?", arguments: [input.path])
                        != nil
                }
            )
        }
    }

    /// Copies the finished runs of another results file into this one, with slides, models, tiles, regions, cells and
    /// evaluations: in one transaction, so that a file is merged whole or not at all.
    ///
    /// A run that is here already, finished, is left alone; an unfinished one here gives way.
    ///
    /// Slides are the same where content, name and scale are. What could not be used there is noted here too.
    ///
    /// - Throws: ``StoreError`` where the other file cannot be read.
    public func merge(_ other: URL) throws(StoreError) -> MergeOutcome {
        let known = try ResultStore(readOnly: other)
        // The other file's layout must be this program's; opening it for writing would bring it up to date.
        let version = try known.read { db in try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0 }
        guard version == Schema.currentVersion else {
            throw StoreError(
                .foreign,
                "\(other.path) has schema version \(version), this program's is \(Schema.currentVersion): segment into it once, and it is brought up to date"
            )
        }
        let readingPath = try ResultStore.readingPath(other)
        do {
            return try database.inDatabase { db in
                try db.execute(sql: "ATTACH DATABASE ? AS other", arguments: [readingPath])
                defer { try? db.execute(sql: "DETACH DATABASE other") }
                var outcome = MergeOutcome()
                try db.inTransaction {
                    outcome = try ResultStore.copyRuns(db)
                    try ResultStore.copyEvaluations(db)
                    return .commit
                }
                return outcome
            }
        } catch let error as DatabaseError where (error.message ?? "").contains("other.") {
            throw StoreError.from(error, path: other.path)
        } catch {
            throw StoreError.from(error, path: url.path)
        }
    }

    private static func copyRuns(_ db: Database) throws -> MergeOutcome {
        var outcome = MergeOutcome()
        try db.execute(
            sql: """
                INSERT OR IGNORE INTO main.slide (name, file, path, identity, is_replaced, vendor, width, height,
                    microns_per_pixel, scale_source, tissue_mm2, bounds_x, bounds_y)
                SELECT name, file, path, identity, is_replaced, vendor, width, height, microns_per_pixel, scale_source,
                    tissue_mm2, bounds_x, bounds_y
                FROM other.slide;
                INSERT OR IGNORE INTO main.model (fingerprint, name, path, microns_per_pixel, description)
                SELECT fingerprint, name, path, microns_per_pixel, description FROM other.model;
                INSERT OR IGNORE INTO main.square SELECT * FROM other.square;
                INSERT OR IGNORE INTO main.square_reading SELECT * FROM other.square_reading;
                INSERT INTO main.annotation (slide, kind, points, note, reader, made_at)
                SELECT slide, kind, points, note, reader, made_at FROM other.annotation AS theirs
                WHERE NOT EXISTS (SELECT 1 FROM main.annotation AS ours WHERE ours.slide = theirs.slide
                    AND ours.kind = theirs.kind AND ours.points = theirs.points AND ours.reader = theirs.reader);
                """)
        let runs = try Row.fetchAll(
            db,
            sql: """
                SELECT theirs.id, theirs.status, ourSlide.id, ourModel.id, ours.id, ours.status, theirSlide.name
                FROM other.run AS theirs
                JOIN other.slide AS theirSlide ON theirSlide.id = theirs.slide_id
                JOIN other.model AS theirModel ON theirModel.id = theirs.model_id
                JOIN main.slide AS ourSlide ON ourSlide.identity = theirSlide.identity AND ourSlide.name = theirSlide.name
                    AND ourSlide.microns_per_pixel = theirSlide.microns_per_pixel
                    AND ourSlide.scale_source = theirSlide.scale_source
                JOIN main.model AS ourModel
                    ON ourModel.fingerprint = theirModel.fingerprint AND ourModel.name = theirModel.name
                LEFT JOIN main.run AS ours ON ours.settings = theirs.settings AND ours.slide_id = ourSlide.id
                    AND ours.model_id IN (SELECT id FROM main.model WHERE fingerprint = theirModel.fingerprint)
                ORDER BY theirs.id
                """)
        for row in runs {
            let (theirs, status, slide, model): (Int64, String, Int64, Int64) = (
                try row.get(0), try row.get(1), try row.get(2), try row.get(3)
            )
            let (ours, ourStatus): (Int64?, String?) = (try row.get(4), try row.get(5))
            if ourStatus == "done" {
                outcome.known += status == "done" ? 1 : 0
                continue
            }
            guard status == "done" else {
                outcome.unfinished.append(UnfinishedRun(name: try row.get(6), slide: slide, model: model))
                continue
            }
            if let ours { try db.execute(sql: "DELETE FROM main.run WHERE id = ?", arguments: [ours]) }
            outcome.runs += 1
            outcome.cells += try copyRun(theirs, slide: slide, model: model, db)
        }
        outcome.failed = try copyFailures(db)
        return outcome
    }

    /// What failed there and is done here, or anywhere by now, is no failure any more.
    ///
    /// - Returns: what still is one, with its reason.
    private static func copyFailures(_ db: Database) throws -> [UnusableInput] {
        try db.execute(
            sql: """
                INSERT OR REPLACE INTO main.failed_input SELECT * FROM other.failed_input;
                DELETE FROM main.failed_input WHERE path IN (
                    SELECT path FROM main.slide JOIN main.run ON run.slide_id = slide.id
                    WHERE run.status = 'done' AND slide.is_replaced = 0);
                """)
        return try Row.fetchAll(
            db,
            sql: """
                SELECT file, path, reason FROM main.failed_input WHERE path IN (SELECT path FROM other.failed_input) ORDER BY file
                """
        ).map { UnusableInput(file: try $0.get(0), path: try $0.get(1), reason: try $0.get(2)) }
    }

    private static func copyRun(_ theirs: Int64, slide: Int64, model: Int64, _ db: Database) throws -> Int {
        let columns = """
            settings, status, message, started_at, finished_at, program_version, level0_per_pixel, threshold, tile_side,
            tile_rows, next_tile_row, engine, seconds, profile, nearest_neighbor_index, seam_score, seam_score_error,
            tissue_mm2
            """
        try db.execute(
            sql:
                "INSERT INTO main.run (slide_id, model_id, \(columns)) SELECT ?, ?, \(columns) FROM other.run WHERE id = ?",
            arguments: [slide, model, theirs])
        let run = db.lastInsertedRowID
        for (table, columns) in [
            (
                "tile",
                "tile_row, tile_column, level0_x, level0_y, level0_width, level0_height, status, message, mean_probability, tissue_mm2, pen, fold, sharpness, flag, cells, cell_area_um2"
            ),
            (
                "region",
                "ordinal, level0_x, level0_y, level0_side, probability, class, prior_mean, prior_deviation, pixels, probability_sum"
            ),
            (
                "quality",
                "square_row, square_column, level0_side, samples, tissue, pen, blocks, dark_blocks, contrast, grey_sum, grey_square, tissue_mm2, cells, cell_area_um2"
            ),
            ("run_ground", "side, columns, rows, is_found, squares"),
            (
                "cell_evaluation",
                "truth, within_um, true_cells, found_cells, matched, precision, recall, f1, created_at"
            ),
        ] {
            try db.execute(
                sql:
                    "INSERT INTO main.\(table) (run_id, \(columns)) SELECT ?, \(columns) FROM other.\(table) WHERE run_id = ?",
                arguments: [run, theirs])
        }
        // Cells keep their order; their numbers are moved behind ours, and the tree's with them.
        let cells = """
            centroid_x, centroid_y, area_um2, perimeter_um, circularity, mean_probability, mean_hematoxylin_od, polygon,
            mask_x, mask_y, mask_width, mask_height, mask
            """
        let last = try Int64.fetchOne(db, sql: "SELECT COALESCE(MAX(id), 0) FROM main.cell") ?? 0
        let first =
            try Int64.fetchOne(db, sql: "SELECT MIN(id) FROM other.cell WHERE run_id = ?", arguments: [theirs]) ?? 0
        let shift = last + 1 - first
        try db.execute(
            sql: """
                INSERT INTO main.cell (id, run_id, \(cells))
                SELECT id + ?, ?, \(cells) FROM other.cell WHERE run_id = ? ORDER BY id
                """, arguments: [shift, run, theirs])
        let count = db.changesCount
        try db.execute(
            sql: """
                INSERT INTO main.cell_rtree (id, min_x, max_x, min_y, max_y)
                SELECT tree.id + ?, tree.min_x, tree.max_x, tree.min_y, tree.max_y
                FROM other.cell AS theirs JOIN other.cell_rtree AS tree ON tree.id = theirs.id
                WHERE theirs.run_id = ? ORDER BY theirs.id
                """, arguments: [shift, theirs])
        return count
    }

    /// Evaluations on patch sets, with their patches' scores; one that is here already stays.
    private static func copyEvaluations(_ db: Database) throws {
        try db.execute(
            sql: """
                INSERT OR IGNORE INTO main.patch_set (name, path) SELECT name, path FROM other.patch_set;
                CREATE TEMP TABLE moved AS
                    SELECT theirs.id AS theirs, ourSet.id AS patch_set, ourModel.id AS model, theirs.method AS method
                    FROM other.evaluation AS theirs
                    JOIN other.patch_set AS theirSet ON theirSet.id = theirs.patch_set_id
                    JOIN other.model AS theirModel ON theirModel.id = theirs.model_id
                    JOIN main.patch_set AS ourSet ON ourSet.path = theirSet.path
                    JOIN main.model AS ourModel ON ourModel.fingerprint = theirModel.fingerprint
                        AND ourModel.name = theirModel.name
                    WHERE NOT EXISTS (SELECT 1 FROM main.evaluation AS ours WHERE ours.patch_set_id = ourSet.id
                        AND ours.model_id = ourModel.id AND ours.method = theirs.method);
                INSERT INTO main.evaluation (patch_set_id, model_id, method, positives, negatives, auc, auc_lower, auc_upper,
                        darkness_auc, darkness_auc_lower, darkness_auc_upper, created_at, calibration_error)
                    SELECT moved.patch_set, moved.model, moved.method, positives, negatives, auc, auc_lower, auc_upper,
                        darkness_auc, darkness_auc_lower, darkness_auc_upper, created_at, calibration_error
                    FROM temp.moved JOIN other.evaluation AS theirs ON theirs.id = moved.theirs;
                INSERT INTO main.patch_score (evaluation_id, file, label, is_lymphocyte, log_odds, darkness)
                    SELECT ours.id, file, label, is_lymphocyte, log_odds, darkness
                    FROM temp.moved JOIN other.patch_score AS score ON score.evaluation_id = moved.theirs
                    JOIN main.evaluation AS ours ON ours.patch_set_id = moved.patch_set AND ours.model_id = moved.model
                        AND ours.method = moved.method;
                DROP TABLE temp.moved;
                """)
    }
}
