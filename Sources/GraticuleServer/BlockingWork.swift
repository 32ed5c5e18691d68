internal import Foundation
internal import Hummingbird
internal import Synchronization

/// Threads for work that blocks – reading slides, the network, SQLite – so that it never holds up the server's own.
///
/// As many calls as there are threads run at once; a bounded number waits, and what is beyond that is turned away. A call
/// that hangs – a dead disk, a file that never answers – is given up at its deadline: its client is told, and another thread
/// takes the place of the one that is lost to it.
final class BlockingWork: Sendable {
    /// One call, which its work and its deadline both want to answer.
    private final class Call: Sendable {
        let run: @Sendable () -> Void
        let giveUp: @Sendable () -> Void
        let key: String?
        let since = DispatchTime.now()

        init<Value: Sendable>(
            _ continuation: CheckedContinuation<Value, any Error>, key: String?,
            body: @escaping @Sendable () throws -> Value
        ) {
            let waiting = Mutex<CheckedContinuation<Value, any Error>?>(continuation)
            let answer = Answer(waiting)
            run = { answer.give(Result(catching: body)) }
            giveUp = {
                answer.give(
                    .failure(
                        HTTPError(
                            .serviceUnavailable,
                            message: "what was asked for does not answer; the service goes on without it")))
            }
            self.key = key
        }

        func age(at now: DispatchTime) -> Double {
            BlockingWork.seconds(from: since, to: now)
        }
    }

    /// The first answer counts.
    private final class Answer<Value: Sendable>: Sendable {
        private let waiting: Mutex<CheckedContinuation<Value, any Error>?>

        init(_ waiting: consuming Mutex<CheckedContinuation<Value, any Error>?>) {
            self.waiting = waiting
        }

        func give(_ result: Result<Value, any Error>) {
            let continuation = waiting.withLock { waiting in
                defer { waiting = nil }
                return waiting
            }
            continuation?.resume(with: result)
        }
    }

    private struct Running {
        let call: Call
        let since: DispatchTime
        /// Whether it has been at work for so long that another thread takes its place.
        var isSlow = false
    }

    private struct State {
        var urgent: [Call] = []
        var normal: [Call] = []
        var running: [ObjectIdentifier: Running] = [:]
        var threads = 0
        var isWatched = false

        var slow: Int { running.values.count { $0.isSlow } }
        var isIdle: Bool { urgent.isEmpty && normal.isEmpty && running.isEmpty }
    }

    private let name: String
    private let threads: Int
    private let mostWaiting: Int
    private let seconds: Double
    private let state = Mutex(State())
    /// Raised once for each call that comes, and for each that ends: one about the same thing may begin then.
    private let wakeUp = DispatchSemaphore(value: 0)

    /// A call that takes longer is in the way of others.
    private static let slowSeconds = 0.5
    /// Threads that take the place of slow ones, at most.
    private static let mostSpare = 16
    /// How often hanging calls are looked for.
    private static let watchSeconds = 0.25
    /// How long a thread waits for work before it ends.
    private static let idleSeconds = 5.0

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
    func run<Value: Sendable>(
        isUrgent: Bool = false, key: String? = nil, _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let call = Call(continuation, key: key, body: body)
            let (isAccepted, beginsWatch) = state.withLock { state in
                guard state.urgent.count + state.normal.count + state.running.count < mostWaiting else {
                    return (false, false)
                }
                if isUrgent { state.urgent.append(call) } else { state.normal.append(call) }
                defer { state.isWatched = true }
                return (true, !state.isWatched)
            }
            guard isAccepted else {
                continuation.resume(
                    throwing: HTTPError(
                        .serviceUnavailable, headers: [.retryAfter: "1"],
                        message: "the service is busy; try again in a moment"))
                return
            }
            wakeUp.signal()
            addThreadIfNeeded()
            if beginsWatch { watch() }
        }
    }

    /// Negative where a call began after `now` was looked up.
    static func seconds(from since: DispatchTime, to now: DispatchTime) -> Double {
        (Double(now.uptimeNanoseconds) - Double(since.uptimeNanoseconds)) / 1e9
    }

    /// Looks for calls that hang, as long as there are calls.
    private func watch() {
        DispatchQueue.global().asyncAfter(deadline: .now() + BlockingWork.watchSeconds) { [weak self] in
            guard let self else { return }
            let now = DispatchTime.now()
            let (late, goesOn) = state.withLock { state in
                for (id, running) in state.running
                where BlockingWork.seconds(from: running.since, to: now) > BlockingWork.slowSeconds {
                    state.running[id]?.isSlow = true
                }
                let late = (state.urgent + state.normal + state.running.values.map(\.call))
                    .filter { $0.age(at: now) > seconds }
                state.urgent.removeAll { $0.age(at: now) > seconds }
                state.normal.removeAll { $0.age(at: now) > seconds }
                state.isWatched = !state.isIdle
                return (late, state.isWatched)
            }
            for call in late { call.giveUp() }
            addThreadIfNeeded()
            if goesOn { watch() }
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

    /// Takes a call and runs it, or waits for one.
    ///
    /// - Returns: whether the thread goes on.
    private func work() -> Bool {
        guard let call = take() else {
            guard wakeUp.wait(timeout: .now() + BlockingWork.idleSeconds) == .timedOut else { return true }
            return state.withLock { state in
                // A call may have come in this moment, which no other thread was made for.
                guard state.urgent.isEmpty, state.normal.isEmpty else { return true }
                state.threads -= 1
                return false
            }
        }
        call.run()
        state.withLock { state in state.running[ObjectIdentifier(call)] = nil }
        wakeUp.signal()
        return true
    }

    /// The next call that may run.
    private func take() -> Call? {
        state.withLock { state in
            let busy = Dictionary(state.running.values.compactMap(\.call.key).map { ($0, 1) }, uniquingKeysWith: +)
            func mayRun(_ call: Call) -> Bool { call.key.map { busy[$0, default: 0] < threads } ?? true }
            let call: Call
            if let index = state.urgent.firstIndex(where: mayRun) {
                call = state.urgent.remove(at: index)
            } else if let index = state.normal.firstIndex(where: mayRun) {
                call = state.normal.remove(at: index)
            } else {
                return nil
            }
            state.running[ObjectIdentifier(call)] = Running(call: call, since: .now())
            return call
        }
    }
}
