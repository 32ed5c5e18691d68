internal import Foundation
internal import ResultStore
internal import Synchronization
internal import TiledPrediction
public import WholeSlide

/// Segments many slides, several at once; a bad one costs only itself.
public struct BatchSegmentation: Sendable {
    public let segmenter: SlideSegmenter
    public let workers: Int

    public init(segmenter: SlideSegmenter, workers: Int) {
        self.segmenter = segmenter
        self.workers = max(1, workers)
    }

    /// How one slide ended.
    public enum Result: Sendable {
        case done(SlideSegmenter.Outcome)
        case failed(FailedInput)
    }

    /// Segments the slides and returns how each ended, in the given order; slides not begun before a stop are missing.
    ///
    /// - Parameters:
    ///   - progress: called from several threads, one call at a time.
    ///   - finished: the same.
    /// - Throws: where the store itself cannot be written: that concerns every slide.
    public func run(
        _ slides: [SlideFile], progress: @Sendable (SlideSegmenter.Progress) -> Void,
        finished: @Sendable (Result) -> Void
    ) throws -> [Result] {
        try segmenter.checkHeatmaps()
        let modelID = try segmenter.registerModel()
        let shared = Shared(count: slides.count)
        // Blocking C calls get threads of their own, not the cooperative pool.
        DispatchQueue.concurrentPerform(iterations: min(workers, max(1, slides.count))) { _ in
            while !segmenter.stop.isStopping, let index = shared.next() {
                let slide = slides[index]
                let result: Result
                do {
                    result = .done(
                        try segmenter.segment(slide, modelID: modelID) { report in shared.serially { progress(report) }
                        })
                } catch let error as StoreError where error.code == .storage {
                    // It concerns every slide, and is thrown once at the end.
                    shared.stop(error)
                    continue
                } catch {
                    let failure = FailedInput(name: slide.relativePath, error: error)
                    result = .failed(failure)
                    do {
                        try segmenter.store.noteFailure(
                            file: slide.relativePath, path: slide.url.path, reason: failure.message)
                    } catch {
                        shared.stop(error)
                    }
                }
                shared.put(result, at: index)
                shared.serially { finished(result) }
            }
        }
        if let failure = shared.failure { throw failure }
        return shared.results.compactMap { $0 }
    }

    /// What the workers share.
    private final class Shared: Sendable {
        private struct State {
            var position = 0
            var stored: [Result?]
            var fatal: (any Error)?
        }

        private let state: Mutex<State>
        private let output = Mutex(())

        init(count: Int) {
            state = Mutex(State(stored: [Result?](repeating: nil, count: count)))
        }

        func next() -> Int? {
            state.withLock { state in
                guard state.fatal == nil, state.position < state.stored.count else { return nil }
                state.position += 1
                return state.position - 1
            }
        }

        func put(_ result: Result, at index: Int) { state.withLock { $0.stored[index] = result } }
        func stop(_ error: any Error) { state.withLock { $0.fatal = error } }
        func serially(_ body: () -> Void) { output.withLock { _ in body() } }
        var failure: (any Error)? { state.withLock { $0.fatal } }
        var results: [Result?] { state.withLock { $0.stored } }
    }
}
