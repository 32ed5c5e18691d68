internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import ResultStore
internal import ServiceLifecycle
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// Runs people's SQL in processes of their own, each killed at its deadline and when its client goes away.
///
/// A query may take time that SQLite cannot interrupt, or memory: it costs only its process. Two run at once; a bounded number
/// waits.
final class QueryProcess: Sendable {
    private struct State {
        var running = 0
        var waiting: [(id: UUID, continuation: CheckedContinuation<Void, any Error>)] = []
    }

    /// The program beside this one that answers a query.
    private let program: URL
    private let results: URL
    private let logger: Logger
    private let state = Mutex(State())

    private static let mostRunning = 2
    private static let mostWaiting = 16
    /// Seconds of a query, and how much longer its process may take to start and to say so.
    private static let seconds = 5.0
    private static let grace = 1.5
    private static let mostOutput = 64 << 20

    init(results: URL, logger: Logger) {
        self.results = results
        self.logger = logger
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        program = own.deletingLastPathComponent().appendingPathComponent("graticule-query")
    }

    /// The answer to a query, as JSON.
    ///
    /// - Throws: ``HTTPError`` with a sentence where there is none.
    func answer(_ sql: String) async throws -> Data {
        try await enter()
        defer { leave() }
        guard FileManager.default.isExecutableFile(atPath: program.path) else {
            logger.error("there is no \(program.path): queries cannot be answered")
            throw HTTPError(
                .serviceUnavailable, message: "queries cannot be answered: graticule-query is not installed")
        }
        let question = try JSONEncoder().encode(
            QueryWorker.Question(path: results.path, sql: sql, seconds: QueryProcess.seconds))
        let child = Child()
        // Not cancelled with the request: the process is killed instead, and its end waited for.
        let work = Task {
            defer { child.ended() }
            return try await run(question, as: child)
        }
        let deadline = Task {
            try await Task.sleep(for: .seconds(QueryProcess.seconds + QueryProcess.grace))
            child.kill(.itIsLate)
        }
        defer { deadline.cancel() }
        return try await cancelWhenGracefulShutdown {
            try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                child.kill(.nobodyWaits)
            }
        }
    }

    /// The process of one query, from before it starts until after it has ended.
    private final class Child: Sendable {
        enum Reason {
            case itIsLate, nobodyWaits
        }

        private struct State {
            var process: pid_t?
            var reason: Reason?
            var hasEnded = false
        }

        private let state = Mutex(State())

        /// Why it was killed; nil where it was not.
        var reason: Reason? { state.withLock { $0.reason } }

        func started(_ process: pid_t) {
            state.withLock { state in
                state.process = process
                if state.reason != nil { Foundation.kill(process, SIGKILL) }
            }
        }

        func kill(_ reason: Reason) {
            state.withLock { state in
                guard !state.hasEnded, state.reason == nil else { return }
                state.reason = reason
                if let process = state.process { Foundation.kill(process, SIGKILL) }
            }
        }

        func ended() { state.withLock { $0.hasEnded = true } }
    }

    private func run(_ question: Data, as child: Child) async throws -> Data {
        let input = try QueryProcess.unnamedFile(question)
        let result = try await Subprocess.run(
            .path(FilePath(program.path)), environment: .custom([:]),
            input: .fileDescriptor(input, closeAfterSpawningProcess: true),
            output: .data(limit: QueryProcess.mostOutput), error: .discarded
        ) { child.started($0.processIdentifier.value) }
        let output = result.standardOutput
        switch result.terminationStatus {
        case .exited(0): return output
        case .exited(1):
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            guard let refusal = try? decoder.decode(QueryWorker.Refusal.self, from: output) else { break }
            if refusal.isOfQuery { throw HTTPError(.badRequest, message: refusal.message) }
            logger.error("query: \(refusal.message)")
            throw HTTPError(.serviceUnavailable, message: "the results file cannot be read at present")
        default: break
        }
        switch child.reason {
        case .nobodyWaits: throw CancellationError()
        case .itIsLate:
            throw HTTPError(
                .badRequest,
                message:
                    "the query took longer than \(Int(QueryProcess.seconds)) s: narrow it down, or use the command line"
            )
        case nil:
            // A process that its limits ended.
            throw HTTPError(.badRequest, message: "the query takes too much memory or time: narrow it down")
        }
    }

    /// A file without a name that holds what a process reads.
    ///
    /// Not a pipe: swift-subprocess 1.0.2 ends the whole program where a process ends before it has read its input
    /// ("FileDescriptor was not closed").
    private static func unnamedFile(_ data: Data) throws -> FileDescriptor {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("graticule-\(UUID().uuidString)")
        defer { unlink(url.path) }
        try data.write(to: url, options: .withoutOverwriting)
        return try FileDescriptor.open(FilePath(url.path), .readOnly, options: .closeOnExec)
    }

    private func enter() async throws {
        let id = UUID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let answer = state.withLock { state -> Result<Void, any Error>? in
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.running < QueryProcess.mostRunning {
                        state.running += 1
                        return .success(())
                    }
                    guard state.waiting.count < QueryProcess.mostWaiting else {
                        return .failure(
                            HTTPError(
                                .serviceUnavailable, headers: [.retryAfter: "5"],
                                message: "many queries are running; try again in a moment"))
                    }
                    state.waiting.append((id, continuation))
                    return nil
                }
                if let answer { continuation.resume(with: answer) }
            }
        } onCancel: {
            let waiting = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                guard let index = state.waiting.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiting.remove(at: index).continuation
            }
            waiting?.resume(throwing: CancellationError())
        }
    }

    private func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            // The place goes on to the next.
            return state.waiting.removeFirst().continuation
        }
        next?.resume()
    }
}
