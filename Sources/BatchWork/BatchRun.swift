internal import Dispatch
public import Failures
internal import Synchronization

/// Works on many inputs, several at once; a bad one costs only itself.
public struct BatchRun<Input: Sendable, Report: Sendable, Outcome: Sendable>: Sendable {
    /// How one input ended.
    public enum Result: Sendable {
        case done(Outcome)
        case failed(FailedInput)
    }

    private let workers: Int
    private let stop: StopRequest

    /// - Parameters:
    ///   - workers: inputs in work at the same time.
    ///   - stop: no input is begun once it is made.
    public init(workers: Int, stop: StopRequest) {
        self.workers = max(1, workers)
        self.stop = stop
    }

    /// Works on the inputs and returns how each ended, in the given order; those not begun before a stop are missing.
    ///
    /// - Parameters:
    ///   - name: what an input that failed is called.
    ///   - isFatal: whether an error concerns every input: it is thrown at the end, and no other input is begun.
    ///   - noteFailure: keeps the reason of a failure; its own error is fatal.
    ///   - progress: called from several threads, one call at a time.
    ///   - finished: the same.
    public func run(
        _ inputs: [Input], name: @Sendable (Input) -> String, isFatal: @Sendable (any Error) -> Bool,
        noteFailure: @Sendable (Input, FailedInput) throws -> Void, progress: @escaping @Sendable (Report) -> Void,
        finished: @Sendable (Result) -> Void, work: @Sendable (Input, _ report: (Report) -> Void) throws -> Outcome
    ) throws -> [Result] {
        let shared = Shared(count: inputs.count)
        // Blocking C calls get threads of their own, not the cooperative pool.
        DispatchQueue.concurrentPerform(iterations: min(workers, max(1, inputs.count))) { _ in
            while !stop.isStopping, let index = shared.next() {
                let input = inputs[index]
                let result: Result
                do {
                    result = .done(try work(input) { report in shared.serially { progress(report) } })
                } catch  where isFatal(error) {
                    shared.end(error)
                    continue
                } catch {
                    let failure = FailedInput(name: name(input), error: error)
                    result = .failed(failure)
                    do {
                        try noteFailure(input, failure)
                    } catch {
                        shared.end(error)
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
        func end(_ error: any Error) { state.withLock { $0.fatal = error } }
        func serially(_ body: () -> Void) { output.withLock { _ in body() } }
        var failure: (any Error)? { state.withLock { $0.fatal } }
        var results: [Result?] { state.withLock { $0.stored } }
    }
}
