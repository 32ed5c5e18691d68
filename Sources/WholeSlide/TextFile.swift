internal import CZlib
public import Foundation

/// Text files, gzipped or not.
public enum TextFile {
    /// No heatmap or table of a slide is larger; a small gzip file may unpack to anything.
    static let mostBytes = 1 << 30

    /// The bytes of a file, unpacked where it is gzipped.
    ///
    /// - Throws: ``SlideError`` where it is missing, cut off or larger than 1 GiB.
    public static func read(_ url: URL) throws(SlideError) -> [UInt8] {
        guard let file = gzopen(url.path, "rb") else {
            throw SlideError(.table, "cannot open \(url.path): no such file, or not readable")
        }
        defer { gzclose(file) }
        gzbuffer(file, 1 << 18)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = gzread(file, &chunk, UInt32(chunk.count))
            if count < 0 {
                var code: Int32 = 0
                let reason = gzerror(file, &code).map { String(cString: $0) }
                throw SlideError(.table, "cannot read \(url.path)", cause: reason)
            }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[0..<Int(count)])
            guard bytes.count <= mostBytes else { throw SlideError(.table, "\(url.path) is larger than 1 GiB") }
        }
        // A gzip stream that ends early is no error to gzread, only to the check at its end.
        var code: Int32 = 0
        let reason = gzerror(file, &code).map { String(cString: $0) }
        if code != Z_OK, code != Z_STREAM_END { throw SlideError(.table, "\(url.path) is cut off", cause: reason) }
        return bytes
    }
}
