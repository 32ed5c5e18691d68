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
    /// The model folder's name.
    public let model: String
    /// queued, running, done, failed or cancelled.
    public let status: String
    public let message: String?
    /// ISO 8601.
    public let createdAt: String
    public let finishedAt: String?
    public let slides: [Slide]

    public var isEnded: Bool { ["done", "failed", "cancelled"].contains(status) }
}

/// The queue of jobs. It is in the results file, so it outlives the service.
extension ResultStore {
    /// Adds a job to the end of the queue.
    public func addJob(model: String, slides: [String]) throws(StoreError) -> JobRecord {
        let id = try write { db in
            try db.execute(
                sql: "INSERT INTO job (model, status, created_at) VALUES (?, 'queued', ?)",
                arguments: [model, ResultStore.now()])
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
                db, sql: "SELECT id, model, status, message, created_at, finished_at FROM job \(clause) LIMIT \(limit)"
            ).map { row in
                let slides = try Row.fetchAll(
                    db, sql: "SELECT slide, status, message FROM job_slide WHERE job_id = ? ORDER BY ordinal",
                    arguments: [row[0] as Int64]
                ).map { JobRecord.Slide(slide: $0[0], status: $0[1], message: $0[2]) }
                return JobRecord(
                    id: row[0], model: row[1], status: row[2], message: row[3], createdAt: row[4], finishedAt: row[5],
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
    public func finishJobSlide(_ slide: String, job: Int64, failure: String?) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: "UPDATE job_slide SET status = ?, message = ? WHERE job_id = ? AND slide = ?",
                arguments: [failure == nil ? "done" : "failed", failure, job, slide])
        }
    }

    /// Ends a job that has not ended yet; false where it has.
    ///
    /// - Parameter status: done, failed or cancelled.
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

/// A region in which someone has counted lymphocytes.
public struct RegionCountRecord: Codable, Sendable, Equatable {
    public var slide: String
    /// Level-0 pixels.
    public var level0X: Double
    public var level0Y: Double
    public var level0Side: Double
    public var coarseClass: Int
    /// Where the lymphocytes were clicked, level-0 px: x, y.
    public var points: [[Double]]
    public var countedBy: String
    /// ISO 8601; set by the store.
    public var countedAt: String?

    public init(
        slide: String, level0X: Double, level0Y: Double, level0Side: Double, coarseClass: Int, points: [[Double]],
        countedBy: String
    ) {
        self.slide = slide
        self.level0X = level0X
        self.level0Y = level0Y
        self.level0Side = level0Side
        self.coarseClass = coarseClass
        self.points = points
        self.countedBy = countedBy
    }

    public var lymphocytes: Int { points.count }
}

/// Counts for priors.
extension ResultStore {
    /// Stores a count, in place of an earlier one of the same region.
    public func storeCount(_ count: RegionCountRecord) throws(StoreError) {
        try write { db in
            let points = String(decoding: try JSONEncoder().encode(count.points), as: UTF8.self)
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO region_count (slide, level0_x, level0_y, level0_side, class, lymphocytes, points,
                        counted_by, counted_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    count.slide, count.level0X, count.level0Y, count.level0Side, count.coarseClass, count.points.count,
                    points, count.countedBy, ResultStore.now(),
                ])
        }
    }

    /// Every count, by class.
    public func counts() throws(StoreError) -> [RegionCountRecord] {
        try read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT slide, level0_x, level0_y, level0_side, class, points, counted_by, counted_at FROM region_count
                    ORDER BY class, slide, level0_y, level0_x
                    """
            ).map { row in
                let points = try? JSONDecoder().decode([[Double]].self, from: Data((row[5] as String).utf8))
                var count = RegionCountRecord(
                    slide: row[0], level0X: row[1], level0Y: row[2], level0Side: row[3], coarseClass: row[4],
                    points: points ?? [], countedBy: row[6])
                count.countedAt = row[7]
                return count
            }
        }
    }
}
