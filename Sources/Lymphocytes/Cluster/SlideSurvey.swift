internal import BatchWork
internal import Failures
internal import Foundation
internal import Synchronization
public import WholeSlide

/// What slides are likely to cost, several looked at at once.
public struct SlideSurvey: Sendable {
    /// In the order of the slides.
    public let planned: [SegmentationPlan.PlannedSlide]
    public let unusable: [SegmentationPlan.UnusableSlide]

    /// - Parameters:
    ///   - micronsPerPixel: µm per pixel of the network's input.
    ///   - progress: gets how many slides have been looked at, of how many; from several threads.
    public init(
        _ contents: SlideFolder.Contents, givenScale: Double?, tissue: TissueSource, micronsPerPixel: Double,
        workers: Int, progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void
    ) throws {
        let total = contents.slides.count
        let looked = Mutex(0)
        let outcome = try BatchRun<SlideFile, Void, SegmentationPlan.PlannedSlide>(
            workers: workers, stop: StopRequest()
        ).run(
            contents.slides, name: \.url.path, isFatal: { _ in false }, noteFailure: { _, _ in }, progress: { _ in },
            finished: { _ in
                progress(
                    looked.withLock { count in
                        count += 1
                        return count
                    }, total)
            }
        ) { slide, _ in
            try SegmentationPlan.PlannedSlide(
                slide, givenScale: givenScale, tissue: tissue, micronsPerPixel: micronsPerPixel)
        }
        var planned: [SegmentationPlan.PlannedSlide] = []
        var unusable = contents.failures.map { SegmentationPlan.UnusableSlide(path: "(path)", reason: "\($0)") }
        for result in outcome {
            switch result {
            case .done(let slide): planned.append(slide)
            case .failed(let failure): unusable.append(.init(path: failure.name, reason: failure.message))
            }
        }
        (self.planned, self.unusable) = (planned, unusable)
    }
}
