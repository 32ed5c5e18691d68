internal import Dispatch
internal import Synchronization

/// Makes the next batch on another thread while the network works on this one.
final class BatchPrefetcher: Sendable {
    private let source: any BlockSource
    private let count: Int
    private let seed: UInt64
    private let last: Int
    private let group = DispatchGroup()
    private let prepared = Mutex<(step: Int, batch: Result<BlockBatch, any Error>)?>(nil)

    /// - Parameter last: no batch is made beyond this step.
    init(source: any BlockSource, count: Int, seed: UInt64, last: Int) {
        self.source = source
        self.count = count
        self.seed = seed
        self.last = last
    }

    /// The batch of a step; what it holds depends on the step alone.
    func batch(step: Int) throws -> BlockBatch {
        group.wait()
        let ready = prepared.withLock { prepared in
            defer { prepared = nil }
            return prepared?.step == step ? prepared?.batch : nil
        }
        let batch = try ready?.get() ?? source.batch(step: step, count: count, seed: seed)
        if step < last {
            DispatchQueue.global().async(group: group) { [self] in
                let batch = Result { try source.batch(step: step + 1, count: count, seed: seed) }
                prepared.withLock { $0 = (step + 1, batch) }
            }
        }
        return batch
    }
}
