internal import Foundation
internal import Synchronization

/// Adds up how long the stages of a prediction take; several threads may be in several stages at once.
public final class StageClock: Sendable {
    /// A stage by its name; applications add their own.
    public struct Stage: Hashable, Sendable {
        public let name: String

        public init(_ name: String) { self.name = name }

        public static let read = Stage("read")
        public static let encode = Stage("encode")
        public static let infer = Stage("infer")
        public static let place = Stage("place")
    }

    private let stages: [Stage]
    private let sums = Mutex<[Stage: Double]>([:])

    /// - Parameter stages: those that are told even where they took no time.
    public init(stages: [Stage] = []) {
        self.stages = stages
    }

    public func time<Result, Failure: Error>(
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
    public var seconds: [String: Double] {
        sums.withLock { sums in
            var seconds = Dictionary(uniqueKeysWithValues: stages.map { ($0.name, 0.0) })
            for (stage, sum) in sums { seconds[stage.name] = sum }
            return seconds
        }
    }
}
