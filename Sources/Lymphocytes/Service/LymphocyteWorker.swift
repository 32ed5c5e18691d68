public import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
public import Logging
public import ResultStore
internal import Torch
public import WholeSlide

/// The queue of a results file: segmentations and trainings.
public typealias LymphocyteQueue = JobQueue<LymphocyteWorker>

extension JobRecord: StoredJob {
    public var items: [JobItem] { slides.map { JobItem(name: $0.slide, status: $0.status) } }
}

extension ResultStore: JobStore {
    public func finishItem(_ name: String, job: Int64, failure: String?, note: String?) throws {
        try finishJobSlide(name, job: job, failure: failure, note: note)
    }

    public func isOfStore(_ error: any Error) -> Bool { (error as? StoreError)?.code == .storage }
}

extension LymphocyteQueue {
    /// Adds a segmentation.
    public func add(model: String, slides: [String]) throws -> JobRecord {
        let job = try store.addJob(model: model, slides: slides)
        wake()
        return job
    }

    /// Adds a training.
    ///
    /// - Parameter model: the name of the folder that is to be made.
    public func add(_ training: TrainingJob, model: String) throws -> JobRecord {
        let settings = String(decoding: try JSONEncoder().encode(training), as: UTF8.self)
        let job = try store.addJob(kind: TrainingJob.kind, model: model, slides: [model], settings: settings)
        wake()
        return job
    }
}

/// What a training of the queue learns from: the counts as they were when it was asked for, since readers go on while it waits and
/// when it goes on after an interruption.
public struct TrainingJob: Codable, Sendable {
    static let kind = "train"

    public var squares: [CountedSquare]
    public var counting: CellCounting
    public var usesHeatmaps: Bool
    public var seed: UInt64
    /// nil for the preset's.
    public var steps: Int?

    public init(
        squares: [CountedSquare], counting: CellCounting, usesHeatmaps: Bool = false, seed: UInt64 = 1,
        steps: Int? = nil
    ) {
        self.squares = squares
        self.counting = counting
        self.usesHeatmaps = usesHeatmaps
        self.seed = seed
        self.steps = steps
    }
}

/// Does the jobs of a queue by the code paths of `graticule segment` and `graticule train`.
public struct LymphocyteWorker: JobWorker {
    public typealias Store = ResultStore

    /// How far a slide, or a training, is.
    public enum Report: Sendable {
        case segmentation(SlideSegmenter.Progress)
        case training(TrainingProgress)
    }

    /// How far a training is.
    public struct TrainingProgress: Sendable {
        /// Networks are trained one after another, numbered from 1.
        public let network: Int
        public let networks: Int
        public let step: Int
        public let steps: Int
        public let loss: Double
        public let secondsLeft: Double
    }

    public static let itemNoun = "slide"

    public let store: ResultStore
    /// Where a job's names lead.
    public var slide: @Sendable (_ name: String) -> SlideFile?
    public var model: @Sendable (_ name: String) throws -> SegmentationModel
    /// Folder of slides to train on, and of the models that are made.
    public var slides: URL?
    public var models: URL?
    /// Folder of heatmaps to compare regions with.
    public var heatmaps: URL?
    public var givenScale: Double?
    public var logger = Logger.silent
    /// Of a segmentation or training.
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

    /// What all slides of a job need.
    public enum Session {
        /// A segmenter with the model of a job.
        case segmentation(SlideSegmenter, modelID: Int64)
        case training(LymphocyteTraining, StopRequest)
    }

    public func begin(_ job: JobRecord, stop: StopRequest) throws -> Session {
        if job.kind == TrainingJob.kind { return try training(job, stop: stop) }
        let model = try model(job.model)
        var settings = SegmentationSettings()
        settings.threshold = model.threshold
        var segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        segmenter.heatmaps = heatmaps
        segmenter.givenScale = givenScale
        segmenter.threads = threads
        segmenter.stop = stop
        segmenter.logger = logger
        return .segmentation(segmenter, modelID: try segmenter.registerModel())
    }

    private func training(_ job: JobRecord, stop: StopRequest) throws -> Session {
        guard let slides, let models else {
            throw InputError(.unusable, "there is no folder for models: start the service with --models DIR")
        }
        let wanted: TrainingJob
        do {
            wanted = try JSONDecoder().decode(
                TrainingJob.self, from: Data(try store.jobSettings(job.id).utf8))
        } catch let error as DecodingError {
            throw InputError(.unusable, "what job \(job.id) is to learn from cannot be read", cause: error)
        }
        var training = LymphocyteTraining(
            slides: slides, heatmaps: wanted.usesHeatmaps ? heatmaps : nil,
            output: models.appendingPathComponent(job.model, isDirectory: true),
            settings: TrainingPreset.fast.lymphocytes(seed: wanted.seed))
        training.squares = wanted.squares
        training.counting = wanted.counting
        training.givenScale = givenScale
        training.logger = logger
        if let steps = wanted.steps { training.settings.training.steps = steps }
        return .training(training, stop)
    }

    public func work(on item: String, in session: Session, report: (Report) -> Void) throws -> JobItemOutcome {
        switch session {
        case .segmentation(let segmenter, let modelID):
            guard let file = slide(item) else {
                throw InputError(.unusable, "there is no slide named '\(item)' any more")
            }
            let outcome = try segmenter.segment(file, modelID: modelID) { report(.segmentation($0)) }
            return outcome.wasStopped ? .stopped : outcome.wasDone ? .wasDone : .done
        case .training(let training, let stop):
            TorchRuntime.threads = threads
            defer { TorchRuntime.threads = 1 }
            let steps = training.settings.training.steps
            do {
                let outcome = try training.run(steps: steps, resume: true, stop: { stop.isStopping }) { event in
                    guard case .progress(let step, let member, let members) = event else { return }
                    let rest = step.secondsPerStep * Double(step.steps * (members - member))
                    report(
                        .training(
                            TrainingProgress(
                                network: member, networks: members, step: step.step, steps: step.steps,
                                loss: step.loss, secondsLeft: step.secondsLeft + rest)))
                }
                let remarks = outcome.failures.map(\.message) + outcome.warnings
                return remarks.isEmpty ? .done : .remarked(remarks.joined(separator: "; "))
            } catch is CancellationError {
                return .stopped
            }
        }
    }

    public func noteFailure(of item: String, reason: String) throws {
        guard let file = slide(item) else { return }
        try store.noteFailure(file: file.relativePath, path: file.url.path, reason: reason)
    }
}
