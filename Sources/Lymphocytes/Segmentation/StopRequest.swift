internal import Foundation

/// Asks a running segmentation to stop at the next place from which it can go on: the end of the tile rows in work.
///
/// `@unchecked Sendable`: the flag is read and written under the lock.
public final class StopRequest: @unchecked Sendable {
    private let lock = NSLock()
    private var isMade = false

    public init() {}

    public var isStopping: Bool { lock.withLock { isMade } }
    public func stop() { lock.withLock { isMade = true } }
}
