public import Failures
internal import Foundation
internal import GRDB

/// A job of the service's queue.
public struct JobRecord: Codable, Sendable, Equatable {
    /// A slide of a job.
    public struct Slide: Codable, Sendable, Equatable {
        public let slide: String
        /// queued, done or failed.
        public let status: String
        public let message: String?
    }

    public let id: Int64
    /// segment, or train.
    public let kind: String
    /// The model folder's name; of a training the one that is made.
    public let model: String
    /// queued, running, done, done with failures, failed or stopped.
    public let status: String
    public let message: String?
    /// ISO 8601.
    public let createdAt: String
    public let finishedAt: String?
    public let slides: [Slide]

    public var isEnded: Bool { ["done", "done with failures", "failed", "stopped"].contains(status) }
}

/// The queue of jobs. It is in the results file, so it outlives the service.
extension ResultStore {
    /// Adds a job to the end of the queue.
    ///
    /// - Parameters:
    ///   - kind: segment, or train: then `slides` is the model's own name, the one thing to be done.
    ///   - settings: what the job needs beside, as JSON.
    public func addJob(
        kind: String = "segment", model: String, slides: [String], settings: String = "{}"
    ) throws(StoreError) -> JobRecord {
        let id = try write { db in
            try db.execute(
                sql: "INSERT INTO job (kind, model, settings, status, created_at) VALUES (?, ?, ?, 'queued', ?)",
                arguments: [kind, model, settings, ResultStore.now()])
            let id = db.lastInsertedRowID
            for (ordinal, slide) in slides.enumerated() {
                try db.execute(
                    sql: "INSERT INTO job_slide (job_id, ordinal, slide, status) VALUES (?, ?, ?, 'queued')",
                    arguments: [id, ordinal, slide])
            }
            return id
        }
        return try job(id)
    }

    /// - Throws: ``StoreError`` of code `missing` where there is none.
    public func job(_ id: Int64) throws(StoreError) -> JobRecord {
        guard let job = try jobs(where: "WHERE id = \(id)", limit: 1).first else {
            throw StoreError(.missing, "there is no job \(id)")
        }
        return job
    }

    /// What a job needs beside model and slides, as JSON.
    public func jobSettings(_ id: Int64) throws(StoreError) -> String {
        try read { db in
            try String.fetchOne(db, sql: "SELECT settings FROM job WHERE id = ?", arguments: [id]) ?? "{}"
        }
    }

    /// The latest jobs, the newest first.
    public func jobs(limit: Int = 200) throws(StoreError) -> [JobRecord] {
        try jobs(where: "ORDER BY id DESC", limit: limit)
    }

    /// The job to work on next; what ran when the service ended comes first.
    public func nextJob() throws(StoreError) -> JobRecord? {
        try jobs(where: "WHERE status IN ('running', 'queued') ORDER BY status = 'queued', id", limit: 1).first
    }

    private func jobs(where clause: String, limit: Int) throws(StoreError) -> [JobRecord] {
        try read { db in
            try Row.fetchAll(
                db,
                sql:
                    "SELECT id, model, status, message, created_at, finished_at, kind FROM job \(clause) LIMIT \(limit)"
            ).map { row in
                let slides = try Row.fetchAll(
                    db, sql: "SELECT slide, status, message FROM job_slide WHERE job_id = ? ORDER BY ordinal",
                    arguments: [try row.get(0) as Int64]
                ).map { JobRecord.Slide(slide: try $0.get(0), status: try $0.get(1), message: try $0.get(2)) }
                return JobRecord(
                    id: try row.get(0), kind: try row.get(6), model: try row.get(1), status: try row.get(2),
                    message: try row.get(3),
                    createdAt: try row.get(4), finishedAt: try row.get(5),
                    slides: slides)
            }
        }
    }

    /// Marks a job as running; false where it has ended meanwhile.
    public func startJob(_ id: Int64) throws(StoreError) -> Bool {
        try write { db in
            try db.execute(
                sql: "UPDATE job SET status = 'running' WHERE id = ? AND status IN ('queued', 'running')",
                arguments: [id])
            return db.changesCount == 1
        }
    }

    /// How a slide of a job ended; `failure` is nil where it is done.
    ///
    /// - Parameter note: what is to be said of a slide that is done, such as that it was done already.
    public func finishJobSlide(
        _ slide: String, job: Int64, failure: String?, note: String? = nil
    ) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: "UPDATE job_slide SET status = ?, message = ? WHERE job_id = ? AND slide = ?",
                arguments: [failure == nil ? "done" : "failed", failure ?? note, job, slide])
        }
    }

    /// Puts an ended job back into the queue, for the slides of it that are not done; false where it has not ended or all are.
    public func retryJob(_ id: Int64) throws(StoreError) -> Bool {
        try write { db in
            let open =
                try Int.fetchOne(
                    db, sql: "SELECT COUNT(*) FROM job_slide WHERE job_id = ? AND status <> 'done'", arguments: [id])
                ?? 0
            guard open > 0 else { return false }
            try db.execute(
                sql: """
                    UPDATE job SET status = 'queued', message = NULL, finished_at = NULL
                    WHERE id = ? AND status IN ('done with failures', 'failed', 'stopped')
                    """, arguments: [id])
            guard db.changesCount == 1 else { return false }
            try db.execute(
                sql: "UPDATE job_slide SET status = 'queued', message = NULL WHERE job_id = ? AND status <> 'done'",
                arguments: [id])
            return true
        }
    }

    /// Ends a job that has not ended yet; false where it has.
    ///
    /// - Parameter status: done, done with failures, failed or stopped.
    @discardableResult
    public func endJob(_ id: Int64, status: String, message: String? = nil) throws(StoreError) -> Bool {
        try write { db in
            try db.execute(
                sql: """
                    UPDATE job SET status = ?, message = ?, finished_at = ?
                    WHERE id = ? AND status IN ('queued', 'running')
                    """, arguments: [status, message, ResultStore.now(), id])
            return db.changesCount == 1
        }
    }
}
