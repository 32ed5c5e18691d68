public import BatchWork
internal import Failures
public import Foundation
public import Logging
public import ResultStore
public import WholeSlide

/// The queue of segmentations of a results file.
public typealias SegmentationQueue = JobQueue<SegmentationWorker>

extension JobRecord: StoredJob {
    public var items: [JobItem] { slides.map { JobItem(name: $0.slide, status: $0.status) } }
}

extension ResultStore: JobStore {
    public func finishItem(_ name: String, job: Int64, failure: String?, note: String?) throws {
        try finishJobSlide(name, job: job, failure: failure, note: note)
    }

    public func isOfStore(_ error: any Error) -> Bool { (error as? StoreError)?.code == .storage }
}

extension SegmentationQueue {
    /// Adds a job.
    public func add(model: String, slides: [String]) throws -> JobRecord {
        let job = try store.addJob(model: model, slides: slides)
        wake()
        return job
    }
}

/// Segments the slides of jobs by the code path of `graticule segment`.
public struct SegmentationWorker: JobWorker {
    public typealias Store = ResultStore
    public typealias Report = SlideSegmenter.Progress

    public static let itemNoun = "slide"

    public let store: ResultStore
    /// Where a job's names lead.
    public var slide: @Sendable (_ name: String) -> SlideFile?
    public var model: @Sendable (_ name: String) throws -> SegmentationModel
    /// Folder of heatmaps to compare regions with.
    public var heatmaps: URL?
    public var givenScale: Double?
    public var logger = Logger.silent
    /// Of a segmentation.
    public var threads: Int

    public init(
        store: ResultStore, threads: Int, slide: @escaping @Sendable (_ name: String) -> SlideFile?,
        model: @escaping @Sendable (_ name: String) throws -> SegmentationModel
    ) {
        self.store = store
        self.threads = max(1, threads)
        self.slide = slide
        self.model = model
    }

    /// A segmenter with the model of a job.
    public struct Session {
        let segmenter: SlideSegmenter
        let modelID: Int64
    }

    public func begin(_ job: JobRecord, stop: StopRequest) throws -> Session {
        let model = try model(job.model)
        var settings = SegmentationSettings()
        settings.threshold = model.threshold
        var segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        segmenter.heatmaps = heatmaps
        segmenter.givenScale = givenScale
        segmenter.threads = threads
        segmenter.stop = stop
        segmenter.logger = logger
        return Session(segmenter: segmenter, modelID: try segmenter.registerModel())
    }

    public func work(on item: String, in session: Session, report: (Report) -> Void) throws -> JobItemOutcome {
        guard let file = slide(item) else {
            throw InputError(.unusable, "there is no slide named '\(item)' any more")
        }
        let outcome = try session.segmenter.segment(file, modelID: session.modelID, progress: report)
        return outcome.wasStopped ? .stopped : outcome.wasDone ? .wasDone : .done
    }

    public func noteFailure(of item: String, reason: String) throws {
        guard let file = slide(item) else { return }
        try store.noteFailure(file: file.relativePath, path: file.url.path, reason: reason)
    }
}
