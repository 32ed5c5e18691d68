internal import CZlib
internal import Failures
public import Foundation

/// Text files, gzipped or not, in pieces: what they unpack to is bounded before it takes memory.
public enum TextFile {
    /// No table unpacks to more.
    public static let mostBytes = 1 << 30
    /// Documents that must be held whole (JSON) are smaller: parsed, they take about thirty times their size.
    public static let mostDocumentBytes = 16 << 20
    /// A file that unpacks to so many times its size, once that is more than ``suspiciousBytes``, holds no text that anyone has: text of
    /// numbers packs to a fifth or a tenth.
    static let mostRatio = 150
    static let suspiciousBytes = 16 << 20
    /// The longest line, or record of a table.
    static let mostLineBytes = 1 << 20

    private static let chunk = 1 << 20

    /// The bytes of a document, unpacked where it is gzipped, without a byte order mark.
    ///
    /// - Throws: ``TableError`` where it is missing, cut off, UTF-16 or larger than `mostBytes`.
    public static func read(_ url: URL, mostBytes: Int = mostDocumentBytes) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try forEachChunk(url, mostBytes: mostBytes) { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// The first bytes of a file, unpacked, without a byte order mark.
    public static func beginning(of url: URL, count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try forEachChunk(url, mostBytes: mostBytes, mostPieces: 1) { chunk in
            bytes = Array(chunk.prefix(count))
        }
        return bytes
    }

    /// Goes through a file piece by piece.
    ///
    /// - Throws: ``TableError`` where it is missing, cut off, UTF-16, or unpacks to more than `mostBytes`; and what `body`
    ///   throws.
    static func forEachChunk(
        _ url: URL, mostBytes: Int = mostBytes, mostPieces: Int = .max,
        _ body: (ArraySlice<UInt8>) throws -> Void
    ) throws {
        // A pipe or a device would be waited for.
        var status = stat()
        guard stat(url.path, &status) == 0 else {
            throw TableError(.malformed, "cannot open \(url.path): \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw TableError(.malformed, "cannot open \(url.path): it is no regular file")
        }
        guard let file = gzopen(url.path, "rb") else {
            throw TableError(.malformed, "cannot open \(url.path): \(String(cString: strerror(errno)))")
        }
        defer { gzclose(file) }
        gzbuffer(file, 1 << 18)
        var bytes = [UInt8](repeating: 0, count: chunk)
        var (total, pieces) = (0, 0)
        while pieces < mostPieces {
            let count = Int(gzread(file, &bytes, UInt32(bytes.count)))
            if count < 0 {
                var code: Int32 = 0
                let reason = gzerror(file, &code).map { String(cString: $0) }
                throw TableError(.malformed, "cannot read \(url.path)", detail: reason)
            }
            if count == 0 { break }
            var piece = bytes[0..<count]
            if pieces == 0 { try dropMark(&piece, path: url.path) }
            (total, pieces) = (total + count, pieces + 1)
            guard total <= mostBytes else {
                throw TableError(.malformed, "\(url.path) is larger than \(mostBytes >> 20) MiB")
            }
            if total > suspiciousBytes, gzdirect(file) == 0, total > mostRatio * max(1, Int(gzoffset(file))) {
                throw TableError(
                    .malformed, "\(url.path) unpacks to more than \(mostRatio) times its size: it holds no labels")
            }
            try body(piece)
        }
        guard pieces < mostPieces else { return }
        // A gzip stream that ends early is no error to gzread, only to the check at its end.
        var code: Int32 = 0
        let reason = gzerror(file, &code).map { String(cString: $0) }
        if code != Z_OK, code != Z_STREAM_END { throw TableError(.malformed, "\(url.path) is cut off", detail: reason) }
    }

    /// A byte order mark of UTF-8 tells nothing; one of UTF-16 tells that the text is none that is read here.
    private static func dropMark(_ piece: inout ArraySlice<UInt8>, path: String) throws(TableError) {
        if piece.starts(with: [0xef, 0xbb, 0xbf]) { piece = piece.dropFirst(3) }
        if piece.starts(with: [0xff, 0xfe]) || piece.starts(with: [0xfe, 0xff]) {
            throw TableError(.malformed, "\(path) is UTF-16: save it as UTF-8")
        }
    }

    /// Goes through the lines of a file; a line ends with LF, CR LF or CR.
    ///
    /// - Parameter body: gets a buffer, the line's place in it, and its number from 1; the buffer is good during the call only.
    public static func forEachLine(
        _ url: URL, _ body: (_ buffer: [UInt8], _ line: Range<Int>, _ number: Int) throws -> Void
    ) throws {
        var waiting: [UInt8] = []
        var number = 0
        var endedWithReturn = false
        try forEachChunk(url) { chunk in
            waiting.append(contentsOf: chunk)
            var start = 0
            for position in (waiting.count - chunk.count)..<waiting.count {
                let byte = waiting[position]
                guard byte == 0x0a || byte == 0x0d else {
                    endedWithReturn = false
                    continue
                }
                // The second half of CR LF ends no line of its own.
                if byte == 0x0a, endedWithReturn, start == position {
                    (endedWithReturn, start) = (false, position + 1)
                    continue
                }
                number += 1
                try body(waiting, start..<position, number)
                start = position + 1
                endedWithReturn = byte == 0x0d
            }
            waiting.removeFirst(start)
            guard waiting.count <= mostLineBytes else {
                throw TableError(.malformed, "\(url.path) line \(number + 1) is longer than \(mostLineBytes >> 20) MiB")
            }
        }
        if !waiting.isEmpty { try body(waiting, 0..<waiting.count, number + 1) }
    }
}
