internal import Failures
internal import Foundation
internal import Logging
internal import ServiceLifecycle
internal import WholeSlide

/// Sees whether the results file is still the one that was opened: where it was deleted or replaced, what is written would go
/// to a file that nobody finds, and what is shown would be of another.
struct ResultsWatch: Service {
    private let file: SlideFile
    private let place: String?
    private let logger: Logger

    init(_ results: URL, logger: Logger) {
        file = SlideFile(results)
        place = file.place
        self.logger = logger
    }

    /// What is wrong; nil where nothing is.
    var failure: ServiceError? {
        guard file.place != place else { return nil }
        return ServiceError(
            .unable,
            "results file \(file.url.path) was \(file.place == nil ? "deleted" : "replaced") while it was served: "
                + "what stands beside it as \(file.url.lastPathComponent)-wal and -shm belongs to the one before; remove them, then start the service again"
        )
    }

    func run() async throws {
        while !Task.isShuttingDownGracefully {
            // The sleep ends with an error where the service ends: that is no failure.
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(1)) }
            guard !Task.isCancelled else { return }
            if let failure {
                logger.critical("\(failure)")
                ShutdownDeadline.begin(status: 1)
                throw failure
            }
        }
    }
}

/// Ends the process where its end takes too long: a thread may hang in a file that never answers. Everything that is stored is
/// stored in whole transactions, so nothing is lost.
struct ShutdownDeadline: Service {
    /// SIGTERM is followed by SIGKILL after some seconds on most systems.
    private static let seconds = 4.0

    func run() async throws {
        try? await gracefulShutdown()
        ShutdownDeadline.begin(status: 0)
    }

    static func begin(status: Int32) {
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds) {
            FileHandle.standardError.write(
                Data("the service ends now; jobs that are not done go on at the next start\n".utf8))
            _exit(status)
        }
    }
}
