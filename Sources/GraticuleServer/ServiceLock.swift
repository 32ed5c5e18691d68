internal import Failures
internal import Foundation

/// Held by the one service that works on a results file; the system lets go of it however the process ends.
final class ServiceLock: Sendable {
    private let descriptor: Int32

    init(_ results: URL) throws(ServiceError) {
        let path = results.path + "-serve.lock"
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ServiceError(.unable, "cannot write beside \(results.path): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw ServiceError(
                .unable, "another service is at work on \(results.path): end it, or give another file")
        }
    }

    deinit { close(descriptor) }
}
