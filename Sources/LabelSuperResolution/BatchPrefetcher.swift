internal import Dispatch

/// Makes the next batch on another thread while the network works on this one.
///
/// `@unchecked Sendable`: `prepared` is written by one block and read only after waiting for that block's group.
final class BatchPrefetcher: @unchecked Sendable {
    private let source: any BlockSource
    private let count: Int
    private let seed: UInt64
    private let last: Int
    private let group = DispatchGroup()
    private var prepared: (step: Int, batch: Result<BlockBatch, any Error>)?

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
        let ready = prepared?.step == step ? prepared?.batch : nil
        prepared = nil
        let batch = try ready?.get() ?? source.batch(step: step, count: count, seed: seed)
        if step < last {
            DispatchQueue.global().async(group: group) { [self] in
                prepared = (step + 1, Result { try source.batch(step: step + 1, count: count, seed: seed) })
            }
        }
        return batch
    }
}
