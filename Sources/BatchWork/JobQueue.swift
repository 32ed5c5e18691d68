internal import Failures
internal import Foundation
public import Logging
internal import Synchronization

/// How far a job is.
public struct JobProgress<Report: Sendable>: Sendable {
    public let job: Int64
    /// As in ``StoredJob/status``.
    public var status: String
    /// The item in work, and how far it is.
    public var item: String?
    public var report: Report?
    /// Items of the job that have ended, and all of them.
    public var itemsDone: Int
    public var items: Int
    public var message: String?
}

/// Works on a store's queue of jobs, one after another, on a thread of its own.
///
/// The queue is in the store, so that a process that is ended in the middle of a job goes on with it when it is started
/// again: finished items are left alone, and the one in work goes on where its worker can.
public final class JobQueue<Worker: JobWorker>: Sendable {
    public typealias Progress = JobProgress<Worker.Report>

    private struct State {
        var latest: [Int64: Progress] = [:]
        var listeners: [UUID: (job: Int64, continuation: AsyncStream<Progress>.Continuation)] = [:]
        /// The job in work and how to stop it.
        var running: (job: Int64, stop: StopRequest)?
        var isEnding = false
        var isStarted = false
    }

    public let store: Worker.Store
    private let worker: Worker
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    public init(store: Worker.Store, worker: Worker, logger: Logger) {
        self.store = store
        self.worker = worker
        self.logger = logger
    }

    /// Begins to work on what is in the queue; ``end()`` must follow.
    public func start() {
        state.withLock { $0.isStarted = true }
        let thread = Thread { [self] in
            work()
            ended.signal()
        }
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Says that a job was added to the store.
    public func wake() {
        wakeUp.signal()
    }

    /// Ends a job that has not ended: at once where it waits, after the tile rows in work where it runs. What is stored stays.
    ///
    /// - Returns: whether it had not ended yet.
    public func cancel(_ job: Int64) throws -> Bool {
        _ = try store.job(job)
        guard try store.endJob(job, status: "stopped", message: nil) else { return false }
        let stop = state.withLock { $0.running.flatMap { $0.job == job ? $0.stop : nil } }
        stop?.stop()
        if stop == nil { try publishEnd(of: job) }
        return true
    }

    /// Ends the work after the tile rows in work, and waits for that; the job in work stays in the queue.
    public func end() {
        let (wasStarted, listeners) = state.withLock { state in
            state.isEnding = true
            state.running?.stop.stop()
            defer { state.listeners = [:] }
            return (state.isStarted, Array(state.listeners.values))
        }
        // Not under the lock: a stream that ends calls back at once.
        for listener in listeners { listener.continuation.finish() }
        wakeUp.signal()
        if wasStarted { ended.wait() }
    }

    /// What happens to a job from now on, beginning with how it stands; ends with the job.
    public func events(of job: Int64) throws -> AsyncStream<Progress> {
        let record = try store.job(job)
        let standing = standing(of: record)
        let (stream, continuation) = AsyncStream.makeStream(
            of: Progress.self, bufferingPolicy: .bufferingNewest(16))
        let id = UUID()
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: id) }
        }
        let (first, isOver) = state.withLock { state in
            let isOver = record.isEnded || state.isEnding
            if !isOver { state.listeners[id] = (job, continuation) }
            return (state.latest[job] ?? standing, isOver)
        }
        continuation.yield(first)
        // The job may have ended between the question and the listening.
        let now = isOver ? record : try store.job(job)
        if now.isEnded { continuation.yield(self.standing(of: now)) }
        if isOver || now.isEnded { continuation.finish() }
        return stream
    }

    private func standing(of job: Worker.Store.Job) -> Progress {
        Progress(
            job: job.id, status: job.status, itemsDone: job.items.count { $0.status != "queued" },
            items: job.items.count, message: job.message)
    }

    private func publish(_ progress: Progress) {
        let listeners = state.withLock { state in
            state.latest[progress.job] = progress
            return state.listeners.values.filter { $0.job == progress.job }
        }
        for listener in listeners { listener.continuation.yield(progress) }
    }

    private func publishEnd(of job: Int64) throws {
        publish(standing(of: try store.job(job)))
        let listeners = state.withLock { state in
            state.latest[job] = nil
            let ended = state.listeners.filter { $0.value.job == job }
            for id in ended.keys { state.listeners[id] = nil }
            return Array(ended.values)
        }
        // Not under the lock: a stream that ends calls back at once.
        for listener in listeners { listener.continuation.finish() }
    }

    /// Tries of a job whose results cannot be stored: the disk may be full, or memory short, for a moment only.
    private static var mostTries: Int { 3 }

    private func work() {
        var (tried, tries): (Int64?, Int) = (nil, 0)
        while !state.withLock({ $0.isEnding }) {
            guard let job = try? store.nextJob() else {
                _ = wakeUp.wait(timeout: .now() + 5)
                continue
            }
            do {
                tries = tried == job.id ? tries + 1 : 1
                tried = job.id
                try run(job)
            } catch let error where store.isOfStore(error) && tries < Self.mostTries {
                logger.warning("job \(job.id): \(explanation(of: error)); it is tried again")
                _ = wakeUp.wait(timeout: .now() + 5)
            } catch {
                logger.error("job \(job.id) failed: \(explanation(of: error))")
                // A store that cannot be written cannot note it either; the job is tried again later.
                if (try? store.endJob(job.id, status: "failed", message: "\(error)")) == nil {
                    _ = wakeUp.wait(timeout: .now() + 5)
                }
                try? publishEnd(of: job.id)
            }
        }
    }

    /// How a job ended whose items have: in its status, and in a sentence where there is more to say.
    static func end(of items: [JobItem], already: Int) -> (status: String, message: String?) {
        let failed = items.count { $0.status == "failed" }
        if failed == 0 {
            return (
                "done",
                already == items.count ? "nothing was to be done: every \(Worker.itemNoun) was done already" : nil
            )
        }
        let message = "\(failed) of \(items.count) \(Worker.itemNoun)s failed"
        return failed == items.count ? ("failed", message) : ("done with failures", message)
    }

    /// Puts an ended job back into the queue, for what of it is not done.
    ///
    /// - Returns: whether it had ended and had something left to do.
    public func retry(_ job: Int64) throws -> Bool {
        _ = try store.job(job)
        guard try store.retryJob(job) else { return false }
        wakeUp.signal()
        return true
    }

    private func run(_ job: Worker.Store.Job) throws {
        let stop = StopRequest()
        let mayRun = state.withLock { state in
            state.running = (job.id, stop)
            return !state.isEnding
        }
        defer { state.withLock { $0.running = nil } }
        guard mayRun else { return }
        guard try store.startJob(job.id) else {
            // It was stopped between the look at the queue and its start.
            if try store.job(job.id).isEnded { try publishEnd(of: job.id) }
            return
        }
        let already = try work(on: job, stop: stop)
        if !stop.isStopping {
            let ended = Self.end(of: try store.job(job.id).items, already: already)
            _ = try store.endJob(job.id, status: ended.status, message: ended.message)
        }
        if try store.job(job.id).isEnded { try publishEnd(of: job.id) }
    }

    /// Works on the items that are left.
    ///
    /// - Returns: how many had been done before.
    private func work(on job: Worker.Store.Job, stop: StopRequest) throws -> Int {
        let session = try worker.begin(job, stop: stop)
        var done = job.items.count { $0.status != "queued" }
        var already = 0
        for item in job.items where item.status == "queued" {
            guard !stop.isStopping else { break }
            var (failure, note): (String?, String?)
            do {
                let outcome = try worker.work(on: item.name, in: session) { [done] report in
                    self.publish(
                        Progress(
                            job: job.id, status: "running", item: item.name, report: report, itemsDone: done,
                            items: job.items.count))
                }
                if outcome == .stopped { break }
                if case .remarked(let remark) = outcome { note = remark }
                if outcome == .wasDone { (already, note) = (already + 1, "was done already") }
            } catch let error where store.isOfStore(error) {
                throw error
            } catch {
                logger.warning("job \(job.id), '\(item.name)': \(explanation(of: error))")
                failure = "\(error)"
                try worker.noteFailure(of: item.name, reason: "\(error)")
            }
            try store.finishItem(item.name, job: job.id, failure: failure, note: note)
            done += 1
        }
        return already
    }
}
