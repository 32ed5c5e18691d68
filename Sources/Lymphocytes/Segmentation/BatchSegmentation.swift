public import BatchWork
internal import Failures
internal import FoundationEssentials
internal import ResultStore
public import WholeSlide

/// Segments many slides, several at once; a bad one costs only itself.
public struct BatchSegmentation: Sendable {
    public typealias Result = BatchRun<SlideFile, SlideSegmenter.Progress, SlideSegmenter.Outcome>.Result

    public let segmenter: SlideSegmenter
    public let workers: Int

    public init(segmenter: SlideSegmenter, workers: Int) {
        self.segmenter = segmenter
        self.workers = max(1, workers)
    }

    /// Segments the slides and returns how each ended, in the given order; slides not begun before a stop are missing.
    ///
    /// - Parameters:
    ///   - progress: called from several threads, one call at a time.
    ///   - finished: the same.
    /// - Throws: where the store itself cannot be written: that concerns every slide.
    public func run(
        _ slides: [SlideFile], progress: @escaping @Sendable (SlideSegmenter.Progress) -> Void,
        finished: @Sendable (Result) -> Void
    ) throws -> [Result] {
        try segmenter.checkHeatmaps()
        let modelID = try segmenter.registerModel()
        return try BatchRun(workers: workers, stop: segmenter.stop).run(
            slides, name: \.relativePath, isFatal: { segmenter.store.isOfStore($0) },
            noteFailure: { slide, failure in
                try segmenter.store.noteFailure(
                    file: slide.relativePath, path: slide.url.path, reason: failure.message)
            },
            progress: progress, finished: finished
        ) { slide, report in try segmenter.segment(slide, modelID: modelID, progress: report) }
    }
}
