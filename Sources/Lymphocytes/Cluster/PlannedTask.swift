internal import BatchWork
internal import Failures
public import Foundation
internal import Raster
public import ResultStore

/// One task of a plan: segments into a file on its node's own disk, and puts copies of it among the shards.
///
/// SQLite's locks and log are not safe on a network file system, so no database is open there: what lies among the shards is a
/// finished file that another one takes the place of.
public struct PlannedTask: Sendable {
    public let plan: SegmentationPlan
    /// From 1.
    public let number: Int
    /// The file that is worked in.
    public let working: URL

    /// - Parameter scratch: a folder on a disk of the node; made where it is missing.
    /// - Throws: ``InputError`` where the plan has no such task, or the folder cannot be made.
    public init(_ plan: SegmentationPlan, number: Int, scratch: URL) throws {
        guard (1...plan.tasks.count).contains(number) else {
            throw InputError(.unusable, "the plan has tasks 1 to \(plan.tasks.count), not \(number)")
        }
        self.plan = plan
        self.number = number
        do {
            try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
            try FileManager.default.createDirectory(
                at: URL(fileURLWithPath: plan.results), withIntermediateDirectories: true)
        } catch {
            throw InputError(.unusable, "cannot make the folders of task \(number): \(FileFailure.reason(error))")
        }
        working = scratch.appendingPathComponent("graticule-\(plan.name)-\(number).sqlite")
    }

    public var slides: [SegmentationPlan.PlannedSlide] { plan.tasks[number - 1] }

    /// Where the task's results go.
    public var shard: URL { PlannedTask.shard(of: plan, number: number) }

    static func shard(of plan: SegmentationPlan, number: Int) -> URL {
        URL(fileURLWithPath: plan.results).appendingPathComponent("\(plan.family)-\(plan.name)-\(number).sqlite")
    }

    static func note(of plan: SegmentationPlan, number: Int) -> URL {
        URL(fileURLWithPath: plan.results).appendingPathComponent("\(plan.family)-\(plan.name)-\(number).json")
    }

    /// Brings what an earlier attempt on another node stored. A shard that is damaged is not brought: its slides are done anew.
    public func begin() throws {
        let manager = FileManager.default
        guard !manager.fileExists(atPath: working.path), manager.fileExists(atPath: shard.path) else { return }
        let draft = AtomicFile.temporaryName(for: working)
        try manager.copyItem(at: shard, to: draft)
        guard (try? ResultStore(readOnly: draft).inputStates()) != nil else {
            try? manager.removeItem(at: draft)
            return
        }
        try AtomicFile.rename(draft, to: working)
    }

    /// Puts a copy of what is stored so far among the shards. What another attempt put there, on a node that is further, is taken
    /// over first: no finished slide is ever lost to a copy that lacks it.
    public func publish(_ store: ResultStore) throws {
        let manager = FileManager.default
        if manager.fileExists(atPath: shard.path), let theirs = try? ResultStore(readOnly: shard).inputStates(),
            !theirs.done.isSubset(of: try store.inputStates().done)
        {
            _ = try store.merge(shard)
        }
        let copy = working.appendingPathExtension("copy")
        try? manager.removeItem(at: copy)
        defer { try? manager.removeItem(at: copy) }
        try store.writeCopy(to: copy)
        let draft = AtomicFile.temporaryName(for: shard)
        do {
            try manager.copyItem(at: copy, to: draft)
        } catch {
            try? manager.removeItem(at: draft)
            throw InputError(.unusable, "cannot write \(shard.path): \(FileFailure.reason(error))")
        }
        try AtomicFile.rename(draft, to: shard)
    }

    /// Takes the file on the node's disk away; its last copy is among the shards.
    public func end() {
        for ending in ["", "-wal", "-shm"] {
            try? FileManager.default.removeItem(at: URL(fileURLWithPath: working.path + ending))
        }
    }

    /// What a task says of itself while it works.
    public struct Note: Codable, Equatable, Sendable {
        public var host: String
        public var process: Int32
        /// Of Slurm, where there is one.
        public var job: String?
        public var began: Date
        public var updated: Date
        public var slidesDone: Int
        public var squareMillimetersDone: Double
        /// Whether the task has ended by itself.
        public var isEnded: Bool

        public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
            host = ProcessInfo.processInfo.hostName
            process = ProcessInfo.processInfo.processIdentifier
            job = environment["SLURM_JOB_ID"]
            (began, updated) = (Date(), Date())
            (slidesDone, squareMillimetersDone, isEnded) = (0, 0, false)
        }
    }

    /// Writes the note beside the shard; a disk that is full for the moment costs the note alone.
    public func write(_ note: Note) {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        guard let data = try? encoder.encode(note) else { return }
        try? AtomicFile.write(data, to: PlannedTask.note(of: plan, number: number))
    }
}
