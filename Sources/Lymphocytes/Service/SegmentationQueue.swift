public import Foundation
internal import LabelSuperResolution
public import ResultStore
internal import Synchronization
internal import TiledPrediction
public import WholeSlide

/// How far a job is; what an event of the service says.
public struct JobProgress: Codable, Sendable, Equatable {
    public let job: Int64
    /// As in ``JobRecord/status``.
    public var status: String
    public var slide: String?
    /// Slides of the job that have ended, and all of them.
    public var slidesDone: Int
    public var slides: Int
    public var tilesDone: Int
    public var tiles: Int
    public var cells: Int
    public var tilesPerSecond: Double
    public var secondsLeft: Double
    public var message: String?
}

/// Works on the store's queue of jobs, one after another, on a thread of its own, by the code path of `graticule segment`.
///
/// The queue is in the store, so that a service that is ended in the middle of a job goes on with it when it is started
/// again: finished slides are left alone, and the one in work goes on at its next tile row.
public final class SegmentationQueue: Sendable {
    /// Where a job's names lead.
    public struct Sources: Sendable {
        public var slide: @Sendable (_ name: String) -> SlideFile?
        public var model: @Sendable (_ name: String) throws -> SegmentationModel
        /// Folder of heatmaps to compare regions with.
        public var heatmaps: URL?
        public var givenScale: Double?

        public init(
            slide: @escaping @Sendable (_ name: String) -> SlideFile?,
            model: @escaping @Sendable (_ name: String) throws -> SegmentationModel
        ) {
            self.slide = slide
            self.model = model
        }
    }

    private struct State {
        var latest: [Int64: JobProgress] = [:]
        var listeners: [UUID: (job: Int64, continuation: AsyncStream<JobProgress>.Continuation)] = [:]
        /// The job in work and how to stop it.
        var running: (job: Int64, stop: StopRequest)?
        var isEnding = false
        var isStarted = false
    }

    private let store: ResultStore
    private let sources: Sources
    private let threads: Int
    private let state = Mutex(State())
    private let wakeUp = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter threads: of a segmentation.
    public init(store: ResultStore, sources: Sources, threads: Int) {
        self.store = store
        self.sources = sources
        self.threads = max(1, threads)
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

    /// Adds a job.
    public func add(model: String, slides: [String]) throws -> JobRecord {
        let job = try store.addJob(model: model, slides: slides)
        wakeUp.signal()
        return job
    }

    /// Ends a job that has not ended: at once where it waits, after the tile rows in work where it runs. What is stored stays.
    ///
    /// - Returns: whether it had not ended yet.
    public func cancel(_ job: Int64) throws -> Bool {
        _ = try store.job(job)
        guard try store.endJob(job, status: "stopped") else { return false }
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
    public func events(of job: Int64) throws -> AsyncStream<JobProgress> {
        let record = try store.job(job)
        let standing = standing(of: record)
        let (stream, continuation) = AsyncStream.makeStream(
            of: JobProgress.self, bufferingPolicy: .bufferingNewest(16))
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

    private func standing(of job: JobRecord) -> JobProgress {
        JobProgress(
            job: job.id, status: job.status, slide: nil, slidesDone: job.slides.count { $0.status != "queued" },
            slides: job.slides.count, tilesDone: 0, tiles: 0, cells: 0, tilesPerSecond: 0, secondsLeft: 0,
            message: job.message)
    }

    private func publish(_ progress: JobProgress) {
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
    private static let mostTries = 3

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
            } catch let error as StoreError where error.code == .storage && tries < SegmentationQueue.mostTries {
                _ = wakeUp.wait(timeout: .now() + 5)
            } catch {
                // A store that cannot be written cannot note it either; the job is tried again later.
                if (try? store.endJob(job.id, status: "failed", message: "\(error)")) == nil {
                    _ = wakeUp.wait(timeout: .now() + 5)
                }
                try? publishEnd(of: job.id)
            }
        }
    }

    /// How a job ended whose slides have: in its status, and in a sentence where there is more to say.
    static func end(of job: JobRecord, already: Int) -> (status: String, message: String?) {
        let failed = job.slides.count { $0.status == "failed" }
        if failed == 0 {
            return ("done", already == job.slides.count ? "nothing was to be done: every slide was done already" : nil)
        }
        let message = "\(failed) of \(job.slides.count) slides failed"
        return failed == job.slides.count ? ("failed", message) : ("done with failures", message)
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

    private func run(_ job: JobRecord) throws {
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
        let model = try sources.model(job.model)
        var settings = SegmentationSettings()
        settings.threshold = model.threshold
        var segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        segmenter.heatmaps = sources.heatmaps
        segmenter.givenScale = sources.givenScale
        segmenter.threads = threads
        segmenter.stop = stop
        let modelID = try segmenter.registerModel()
        var done = job.slides.count { $0.status != "queued" }
        var already = 0
        for slide in job.slides where slide.status == "queued" {
            guard !stop.isStopping else { break }
            var (failure, note): (String?, String?)
            do {
                guard let url = sources.slide(slide.slide) else {
                    throw WorkError(.input, "there is no slide named '\(slide.slide)' any more")
                }
                let outcome = try segmenter.segment(url, modelID: modelID) { [done] progress in
                    self.publish(
                        JobProgress(
                            job: job.id, status: "running", slide: slide.slide, slidesDone: done,
                            slides: job.slides.count, tilesDone: progress.tilesDone, tiles: progress.tiles,
                            cells: progress.cells, tilesPerSecond: progress.tilesPerSecond,
                            secondsLeft: progress.secondsLeft, message: nil))
                }
                if outcome.wasStopped { break }
                if outcome.wasDone { (already, note) = (already + 1, "was done already") }
            } catch let error as StoreError where error.code == .storage {
                throw error
            } catch {
                failure = "\(error)"
                if let file = sources.slide(slide.slide) {
                    try store.noteFailure(file: file.relativePath, path: file.url.path, reason: "\(error)")
                }
            }
            try store.finishJobSlide(slide.slide, job: job.id, failure: failure, note: note)
            done += 1
        }
        if !stop.isStopping {
            let ended = SegmentationQueue.end(of: try store.job(job.id), already: already)
            try store.endJob(job.id, status: ended.status, message: ended.message)
        }
        if try store.job(job.id).isEnded { try publishEnd(of: job.id) }
    }
}
