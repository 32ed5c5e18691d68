internal import Foundation
internal import Synchronization

/// Adds up how long the stages of a segmentation take; several threads may be in several stages at once.
final class StageClock: Sendable {
    /// In the order in which a tile passes through them.
    enum Stage: String, CaseIterable {
        case tissue, read, encode, infer, place, components, cells, store
    }

    private let sums = Mutex<[Stage: Double]>([:])

    func time<Result, Failure: Error>(
        _ stage: Stage, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let start = DispatchTime.now().uptimeNanoseconds
        defer {
            let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
            sums.withLock { $0[stage, default: 0] += seconds }
        }
        return try body()
    }

    /// Seconds by stage, summed over threads.
    var seconds: [String: Double] {
        sums.withLock { sums in
            Dictionary(uniqueKeysWithValues: Stage.allCases.map { ($0.rawValue, sums[$0] ?? 0) })
        }
    }
}
