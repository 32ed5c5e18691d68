public import Foundation

/// Reads files that are held in memory whole.
public enum FileData {
    /// - Throws: ``RasterError`` where there is none, it is no regular file – a pipe would be waited for – or it is larger than
    ///   `mostBytes`.
    public static func read(_ url: URL, mostBytes: Int) throws(RasterError) -> Data {
        var status = stat()
        guard stat(url.path, &status) == 0 else {
            throw RasterError(.unreadable, "cannot read \(url.path): \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw RasterError(.unreadable, "cannot read \(url.path): it is no regular file")
        }
        guard status.st_size <= mostBytes else {
            throw RasterError(.unreadable, "cannot read \(url.path): it is larger than \(mostBytes >> 20) MiB")
        }
        do {
            let file = try FileHandle(forReadingFrom: url)
            defer { try? file.close() }
            // It may have grown since.
            return try file.read(upToCount: mostBytes) ?? Data()
        } catch {
            throw RasterError(.unreadable, "cannot read \(url.path): \(FileFailure.reason(error))")
        }
    }
}
