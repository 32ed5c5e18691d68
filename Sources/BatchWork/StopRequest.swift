internal import Synchronization

/// Asks a running segmentation to stop at the next place from which it can go on: the end of the tile rows in work.
public final class StopRequest: Sendable {
    private let isMade = Mutex(false)

    public init() {}

    public var isStopping: Bool { isMade.withLock { $0 } }
    public func stop() { isMade.withLock { $0 = true } }
}
