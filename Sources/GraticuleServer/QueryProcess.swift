internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import ResultStore
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
        return try await withThrowingTaskGroup(of: Data?.self) { group in
            group.addTask { try await self.run(question) }
            group.addTask {
                try await Task.sleep(for: .seconds(QueryProcess.seconds + QueryProcess.grace))
                return nil
            }
            // The first to end decides; the other is cancelled, and with it the process is killed.
            defer { group.cancelAll() }
            guard let first = try await group.next(), let answer = first else {
                throw HTTPError(
                    .badRequest,
                    message:
                        "the query took longer than \(Int(QueryProcess.seconds)) s: narrow it down, or use the command line"
                )
            }
            return answer
        }
    }

    private func run(_ question: Data) async throws -> Data {
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .kill, allowedDurationToNextStep: .zero)]
        let result = try await Subprocess.run(
            .path(FilePath(program.path)), environment: .custom([:]), platformOptions: options, input: .data(question),
            output: .data(limit: QueryProcess.mostOutput), error: .discarded)
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
        if Task.isCancelled { throw CancellationError() }
        // A process that its limits ended.
        throw HTTPError(.badRequest, message: "the query takes too much memory or time: narrow it down")
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
