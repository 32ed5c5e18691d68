internal import CZlib
public import Failures
public import Foundation

/// A file that is written piece by piece, gzipped where its name ends in `.gz`, and is whole or absent: it has a temporary
/// name until ``finish()``.
public final class FileStream {
    private let url: URL
    private let written: URL
    private var handle: gzFile?
    private var buffer: [UInt8] = []
    private static let bufferSize = 1 << 18

    /// - Throws: ``RasterError`` where the file cannot be made.
    public init(_ url: URL) throws(RasterError) {
        self.url = url
        written = AtomicFile.temporaryName(for: url)
        buffer.reserveCapacity(2 * FileStream.bufferSize)
        // "T": zlib writes through, without compression.
        handle = gzopen(written.path, url.pathExtension == "gz" ? "wb6" : "wbT")
        guard handle != nil else {
            throw RasterError(.unwritable, "cannot write \(url.path): \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        if let handle {
            gzclose(handle)
            try? FileManager.default.removeItem(at: written)
        }
    }

    public func write(_ text: String) throws(RasterError) {
        buffer.append(contentsOf: text.utf8)
        if buffer.count >= FileStream.bufferSize { try flush() }
    }

    /// Closes the file and gives it its name.
    public func finish() throws(RasterError) {
        try flush()
        let status = gzclose(handle)
        handle = nil
        guard status == Z_OK else {
            let reason = String(cString: strerror(errno))
            try? FileManager.default.removeItem(at: written)
            throw RasterError(.unwritable, "cannot write \(url.path): \(reason)")
        }
        try AtomicFile.rename(written, to: url)
    }

    private func flush() throws(RasterError) {
        guard !buffer.isEmpty else { return }
        let count = buffer.withUnsafeBytes { gzwrite(handle, $0.baseAddress, UInt32($0.count)) }
        guard Int(count) == buffer.count else {
            throw RasterError(.unwritable, "cannot write \(url.path): \(String(cString: strerror(errno)))")
        }
        buffer.removeAll(keepingCapacity: true)
    }
}
