internal import Foundation
internal import Hummingbird
internal import Synchronization

/// Threads for work that blocks – reading slides, the network, SQLite – so that it never holds up the server's own.
///
/// As many calls as there are threads run at once; a bounded number waits, and what is beyond that is turned away.
final class BlockingWork: Sendable {
    private let queue: OperationQueue
    private let waiting = Mutex(0)
    private let mostWaiting: Int

    init(name: String, threads: Int, mostWaiting: Int) {
        queue = OperationQueue()
        queue.name = name
        queue.maxConcurrentOperationCount = threads
        self.mostWaiting = mostWaiting
    }

    /// - Parameter isUrgent: whether it goes before what waits already: someone has clicked.
    func run<Result: Sendable>(
        isUrgent: Bool = false, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        let isAccepted = waiting.withLock { count in
            guard count < mostWaiting else { return false }
            count += 1
            return true
        }
        guard isAccepted else {
            throw HTTPError(
                .serviceUnavailable, headers: [.retryAfter: "1"], message: "the service is busy; try again in a moment")
        }
        defer { waiting.withLock { $0 -= 1 } }
        return try await withCheckedThrowingContinuation { continuation in
            let operation = BlockOperation { continuation.resume(with: Swift.Result(catching: body)) }
            operation.queuePriority = isUrgent ? .veryHigh : .normal
            queue.addOperation(operation)
        }
    }
}
