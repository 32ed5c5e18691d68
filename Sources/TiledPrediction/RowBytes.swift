internal import Foundation

/// Zeroed bytes of a tile row, which several threads fill at once.
///
/// `@unchecked Sendable`: tiles lie side by side, so each thread writes bytes that no other touches, and they are read only after all
/// tiles have been placed. A lock would make the threads wait for nothing.
public final class RowBytes: @unchecked Sendable {
    public let buffer: UnsafeMutableBufferPointer<UInt8>

    public init(count: Int) {
        // From the system, zeroed: what no tile touches takes no memory.
        buffer = UnsafeMutableBufferPointer(
            start: calloc(max(1, count), 1).assumingMemoryBound(to: UInt8.self), count: count)
    }

    deinit { free(buffer.baseAddress) }
}
