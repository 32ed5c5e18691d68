public import Failures
public import Foundation

/// Reads files that are held in memory whole.
public enum FileData {
    /// - Returns: the size of a file, in bytes.
    /// - Throws: ``RasterError`` where there is none, or it is no regular file: a pipe would be waited for.
    @discardableResult
    public static func checkRegular(_ url: URL) throws(RasterError) -> Int {
        var status = stat()
        guard stat(url.path, &status) == 0 else {
            throw RasterError(.unreadable, "cannot read \(url.path): \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw RasterError(.unreadable, "cannot read \(url.path): it is no regular file")
        }
        return Int(status.st_size)
    }

    /// - Throws: ``RasterError`` where there is none, it is no regular file – a pipe would be waited for – or it is larger than
    ///   `mostBytes`.
    public static func read(_ url: URL, mostBytes: Int) throws(RasterError) -> Data {
        guard try checkRegular(url) <= mostBytes else {
            throw RasterError(.unreadable, "cannot read \(url.path): it is larger than \(mostBytes >> 20) MiB")
        }
        do {
            let file = try FileHandle(forReadingFrom: url)
            defer { try? file.close() }
            // It may have grown since.
            return try file.read(upToCount: mostBytes) ?? Data()
        } catch {
            throw RasterError(.unreadable, "cannot read \(url.path): \(FileFailure.reason(error))", cause: error)
        }
    }
}
