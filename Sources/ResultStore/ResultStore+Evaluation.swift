public import Failures
internal import Foundation
internal import GRDB

/// Scores of patch sets and of found cells.
extension ResultStore {
    /// Stores the scores of a patch set, in place of an earlier evaluation by the same model and method.
    public func storeEvaluation(
        patchSet name: String, path: String, model: Int64, method: String, auc: AUCRecord, darkness: AUCRecord,
        calibrationError: Double, scores: [PatchScoreRecord]
    ) throws(StoreError) {
        try write { db in
            try db.execute(
                sql:
                    "INSERT INTO patch_set (name, path) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET name = excluded.name",
                arguments: [name, path])
            let set = try Int64.fetchOne(db, sql: "SELECT id FROM patch_set WHERE path = ?", arguments: [path])
            try db.execute(
                sql: "DELETE FROM evaluation WHERE patch_set_id = ? AND model_id = ? AND method = ?",
                arguments: [set, model, method])
            let positives = scores.filter(\.isLymphocyte).count
            try db.execute(
                sql: """
                    INSERT INTO evaluation (patch_set_id, model_id, method, positives, negatives, auc, auc_lower, auc_upper,
                        darkness_auc, darkness_auc_lower, darkness_auc_upper, calibration_error, created_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    set, model, method, positives, scores.count - positives, auc.value, auc.lower, auc.upper,
                    darkness.value, darkness.lower, darkness.upper, calibrationError, ResultStore.now(),
                ])
            let evaluation = db.lastInsertedRowID
            let insert = try db.makeStatement(
                sql: """
                    INSERT INTO patch_score (evaluation_id, file, label, is_lymphocyte, log_odds, darkness)
                    VALUES (?, ?, ?, ?, ?, ?)
                    """)
            for score in scores {
                try insert.execute(arguments: [
                    evaluation, score.file, score.label, score.isLymphocyte, score.logOdds, score.darkness,
                ])
            }
        }
    }

    /// A finished run of a slide, and its scale, for scoring its cells.
    public struct ScoredRun: Sendable {
        public let id: Int64
        /// Name of the model that ran.
        public let model: String
        /// µm per level-0 pixel.
        public let micronsPerPixel: Double
    }

    /// The finished runs of a slide, the latest last.
    ///
    /// - Throws: ``StoreError`` where the name may be that of several slides; none is no error.
    public func finishedRuns(slideNamed name: String) throws(StoreError) -> [ScoredRun] {
        let found: SlideReference
        do {
            found = try slide(named: name)
        } catch {
            guard error.code == .missing, !error.message.contains("several slides") else { throw error }
            return []
        }
        return try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT run.id, model.name, slide.microns_per_pixel FROM run
                    JOIN slide ON slide.id = slide_id JOIN model ON model.id = model_id
                    WHERE slide.name = ? AND slide.identity = ? AND status = 'done' ORDER BY finished_at, run.id
                    """, arguments: [found.name, found.identity]
            ).map { ScoredRun(id: try $0.get(0), model: try $0.get(1), micronsPerPixel: try $0.get(2)) }
        }
    }

    /// Centroids of a run's cells, level-0 px.
    public func centroids(run: Int64) throws(StoreError) -> [(x: Double, y: Double)] {
        try read { db in
            try Row.fetchAll(
                db, sql: "SELECT centroid_x, centroid_y FROM cell WHERE run_id = ? ORDER BY id", arguments: [run]
            )
            .map { (try $0.get(0), try $0.get(1)) }
        }
    }

    /// Stores how a run's cells compare with the truth.
    public func storeCellEvaluation(_ evaluation: CellEvaluationRecord, run: Int64) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO cell_evaluation (run_id, truth, within_um, true_cells, found_cells, matched,
                        precision, recall, f1, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    run, evaluation.truth, evaluation.withinMicrons, evaluation.trueCells, evaluation.foundCells,
                    evaluation.matched, evaluation.precision, evaluation.recall, evaluation.f1, ResultStore.now(),
                ])
        }
    }
}
