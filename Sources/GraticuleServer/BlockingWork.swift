internal import Foundation
internal import Hummingbird
internal import Synchronization

/// Threads for work that blocks – reading slides, the network, SQLite – so that it never holds up the server's own.
///
/// As many calls as there are threads run at once; a bounded number waits, and what is beyond that is turned away. A call
/// that hangs – a dead disk, a file that never answers – is given up at its deadline: its client is told, and another thread
/// takes the place of the one that is lost to it.
final class BlockingWork: Sendable {
    /// One call.
    private final class Item: Sendable {
        let body: @Sendable () -> Void
        let fail: @Sendable (any Error) -> Void
        let key: String?

        init(body: @escaping @Sendable () -> Void, fail: @escaping @Sendable (any Error) -> Void, key: String?) {
            self.body = body
            self.fail = fail
            self.key = key
        }
    }

    /// A continuation that the work and its deadline both want to resume.
    private final class Once<Value: Sendable>: Sendable {
        private let continuation: Mutex<CheckedContinuation<Value, any Error>?>

        init(_ continuation: CheckedContinuation<Value, any Error>) {
            self.continuation = Mutex(continuation)
        }

        /// - Returns: whether this was the first call.
        @discardableResult
        func resume(with result: Result<Value, any Error>) -> Bool {
            let waiting = continuation.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }
            waiting?.resume(with: result)
            return waiting != nil
        }
    }

    private struct State {
        var urgent: [Item] = []
        var normal: [Item] = []
        /// Calls that run, by what they are about.
        var running: [String: Int] = [:]
        var threads = 0
        /// Threads that have been at one call for longer than ``slowSeconds``: others take their place.
        var slow = 0
        var count = 0
    }

    private let name: String
    private let threads: Int
    private let mostWaiting: Int
    private let seconds: Double
    private let condition = NSCondition()
    private let state = Mutex(State())

    /// A call that takes longer is in the way of others.
    private static let slowSeconds = 0.5
    /// Threads that take the place of slow ones, at most.
    private static let mostSpare = 16

    /// - Parameters:
    ///   - threads: calls that run at once.
    ///   - seconds: after which a call is given up, its waiting included.
    init(name: String, threads: Int, mostWaiting: Int, seconds: Double = 30) {
        self.name = name
        self.threads = threads
        self.mostWaiting = mostWaiting
        self.seconds = seconds
    }

    /// - Parameters:
    ///   - isUrgent: whether it goes before what waits already: someone has clicked.
    ///   - key: what the call is about; no more calls about one thing run at once than there are threads, so that one that
    ///     hangs leaves spare threads to others.
    func run<Result: Sendable>(
        isUrgent: Bool = false, key: String? = nil, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            let once = Once(continuation)
            let item = Item(
                body: { once.resume(with: Swift.Result(catching: body)) }, fail: { once.resume(with: .failure($0)) },
                key: key)
            let isAccepted = state.withLock { state in
                guard state.count < mostWaiting else { return false }
                state.count += 1
                if isUrgent { state.urgent.append(item) } else { state.normal.append(item) }
                return true
            }
            guard isAccepted else {
                once.resume(
                    with: .failure(
                        HTTPError(
                            .serviceUnavailable, headers: [.retryAfter: "1"],
                            message: "the service is busy; try again in a moment")))
                return
            }
            addThreadIfNeeded()
            condition.withLock { condition.signal() }
            DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { [weak self] in
                let isLate = once.resume(
                    with: .failure(
                        HTTPError(
                            .serviceUnavailable,
                            message: "what was asked for does not answer; the service goes on without it")))
                if isLate { self?.drop(item) }
            }
        }
    }

    /// Forgets a call that still waits.
    private func drop(_ item: Item) {
        state.withLock { state in
            let before = state.urgent.count + state.normal.count
            state.urgent.removeAll { $0 === item }
            state.normal.removeAll { $0 === item }
            state.count -= before - state.urgent.count - state.normal.count
        }
    }

    private func addThreadIfNeeded() {
        let isNeeded = state.withLock { state in
            let wanted = threads + min(state.slow, BlockingWork.mostSpare)
            guard state.threads < wanted, !state.urgent.isEmpty || !state.normal.isEmpty else { return false }
            state.threads += 1
            return true
        }
        guard isNeeded else { return }
        let thread = Thread { [weak self] in
            while self?.work() == true {}
        }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Takes a call and runs it.
    ///
    /// - Returns: whether the thread goes on.
    private func work() -> Bool {
        guard let item = take() else {
            // A thread too many ends; one too few is made when there is work.
            return state.withLock { state in
                guard state.urgent.isEmpty || state.threads > threads + state.slow else { return true }
                state.threads -= 1
                return false
            }
        }
        let isSlow = Mutex(false)
        let timer = DispatchWorkItem { [weak self] in
            guard let self else { return }
            isSlow.withLock { $0 = true }
            state.withLock { $0.slow += 1 }
            addThreadIfNeeded()
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + BlockingWork.slowSeconds, execute: timer)
        item.body()
        timer.cancel()
        state.withLock { state in
            if isSlow.withLock({ $0 }) { state.slow -= 1 }
            state.count -= 1
            if let key = item.key {
                state.running[key, default: 1] -= 1
                if state.running[key] == 0 { state.running[key] = nil }
            }
        }
        condition.withLock { condition.signal() }
        return true
    }

    /// The next call that may run; waits a while for one.
    private func take() -> Item? {
        let deadline = Date().addingTimeInterval(5)
        while true {
            let found = state.withLock { state -> Item? in
                func first(_ items: inout [Item]) -> Item? {
                    let index = items.firstIndex { item in
                        item.key.map { state.running[$0, default: 0] < threads } ?? true
                    }
                    return index.map { items.remove(at: $0) }
                }
                var (urgent, normal) = (state.urgent, state.normal)
                guard let item = first(&urgent) ?? first(&normal) else { return nil }
                (state.urgent, state.normal) = (urgent, normal)
                if let key = item.key { state.running[key, default: 0] += 1 }
                return item
            }
            if let found { return found }
            let isSignalled = condition.withLock {
                condition.wait(until: min(deadline, Date().addingTimeInterval(0.05)))
            }
            if !isSignalled, Date() > deadline { return nil }
        }
    }
}
