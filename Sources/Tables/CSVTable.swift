public import Failures
public import Foundation

/// A table with a header line as RFC 4180 has it, read row by row so that memory does not grow with its length.
///
/// Fields are separated by commas, semicolons or tabs, whichever the header uses; with semicolons numbers may have decimal
/// commas, as spreadsheets write them in many countries. Columns go by name, in any order, and others may stand between them.
/// Rows of blanks are passed over.
public struct CSVTable {
    /// One row, good during the call that hands it over.
    public struct Row {
        /// Line in the file on which the row begins, 1 for the header.
        public let line: Int
        fileprivate let bytes: [UInt8]
        /// Where each field ends.
        fileprivate let ends: [Int]
        fileprivate let header: Header

        /// Names of the table's columns.
        public var columns: [String] { header.columns }

        public func has(_ column: String) -> Bool { header.index[column] != nil }

        private func field(_ column: String) throws(TableError) -> ArraySlice<UInt8> {
            guard let index = header.index[column] else {
                throw TableError(.malformed, "\(header.path) has no column '\(column)'")
            }
            guard index < ends.count else {
                throw TableError(.malformed, "\(header.path) line \(line): the field '\(column)' is missing")
            }
            return bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
        }

        /// The text in a column.
        ///
        /// - Throws: ``TableError`` with file and line where the row is too short or the column missing.
        public func text(_ column: String) throws(TableError) -> String {
            String(decoding: try field(column), as: UTF8.self)
        }

        /// The finite number in a column.
        public func number(_ column: String) throws(TableError) -> Double {
            let field = try field(column)
            guard let value = NumberScanner.number(bytes, field.indices, decimalComma: header.hasDecimalCommas) else {
                throw TableError(
                    .malformed,
                    "\(header.path) line \(line): '\(String(decoding: field.prefix(60), as: UTF8.self))' in column "
                        + "'\(column)' is no number")
            }
            return value
        }

        /// Whether nothing but blanks is in a column.
        public func isBlank(_ column: String) throws(TableError) -> Bool {
            try field(column).allSatisfy { $0 == 0x20 || $0 == 0x09 }
        }
    }

    fileprivate final class Header {
        let path: String
        let columns: [String]
        let index: [String: Int]
        let hasDecimalCommas: Bool

        init(path: String, columns: [String], needed: [String], separator: UInt8) throws(TableError) {
            self.path = path
            self.columns = columns
            hasDecimalCommas = separator == UInt8(ascii: ";")
            let missing = needed.filter { !columns.contains($0) }
            guard missing.isEmpty else {
                throw TableError(
                    .malformed,
                    "\(path) has no column '\(missing.joined(separator: "', '"))' (it has: \(columns.prefix(20).joined(separator: ", ")))"
                )
            }
            if let twice = needed.first(where: { name in columns.count { $0 == name } > 1 }) {
                throw TableError(.malformed, "\(path) has two columns '\(twice)': which one counts?")
            }
            index = Dictionary(columns.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// Reads a table.
    ///
    /// - Parameters:
    ///   - needed: columns that it must have.
    ///   - row: gets the rows in their order.
    /// - Throws: ``TableError`` with the file, and where there is one the line, for what is no such table; and what `row`
    ///   throws.
    public static func read(_ url: URL, requiring needed: [String], row: (Row) throws -> Void) throws {
        var parser = Parser(path: url.path, needed: needed)
        try TextFile.forEachChunk(url) { try parser.take($0, row: row) }
        try parser.finish(row: row)
    }

    /// Names of the columns of a table, without its rows.
    public static func columns(inFirstLine line: ArraySlice<UInt8>) -> [String] {
        let separator = Parser.separator(of: line)
        return line.split(separator: separator, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self).trimmingCharacters(in: CharacterSet(charactersIn: " \t\r\n\""))
        }
    }
}

/// RFC 4180, byte by byte.
private struct Parser {
    private enum State {
        /// At the beginning of a field, in a plain one, in a quoted one, and behind a quote within that.
        case start, plain, quoted, afterQuote
    }

    private let path: String
    private let needed: [String]
    private var header: CSVTable.Header?
    private var separator = UInt8(ascii: ",")
    private var state = State.start
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var line = 1
    private var recordLine = 1
    private var endedWithReturn = false
    private var isFirst = true

    init(path: String, needed: [String]) {
        self.path = path
        self.needed = needed
    }

    /// The separator of which a header line has most; a comma where it has none.
    static func separator(of line: some Sequence<UInt8>) -> UInt8 {
        var counts: [UInt8: Int] = [:]
        var isQuoted = false
        for byte in line {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            if !isQuoted, (byte == 0x0a || byte == 0x0d) { break }
            if !isQuoted { counts[byte, default: 0] += 1 }
        }
        let comma = UInt8(ascii: ",")
        return [comma, UInt8(ascii: ";"), 0x09].max { counts[$0, default: 0] < counts[$1, default: 0] } ?? comma
    }

    mutating func take(_ chunk: ArraySlice<UInt8>, row: (CSVTable.Row) throws -> Void) throws {
        if isFirst {
            separator = Parser.separator(of: chunk)
            isFirst = false
        }
        for byte in chunk {
            if state == .quoted {
                if byte == UInt8(ascii: "\"") {
                    state = .afterQuote
                } else {
                    if byte == 0x0a { line += 1 }
                    bytes.append(byte)
                }
            } else if byte == separator {
                ends.append(bytes.count)
                state = .start
            } else if byte == 0x0a || byte == 0x0d {
                let isSecondHalf = byte == 0x0a && endedWithReturn
                endedWithReturn = byte == 0x0d
                if isSecondHalf {
                    recordLine = line
                    continue
                }
                try endRecord(row: row)
                line += 1
                recordLine = line
                continue
            } else if byte == UInt8(ascii: "\""), state != .plain {
                // Two quotes within quotes are one.
                if state == .afterQuote { bytes.append(byte) }
                state = .quoted
            } else {
                guard state != .afterQuote else {
                    if byte == 0x20 { continue }
                    throw TableError(.malformed, "\(path) line \(line): text follows a closing quote")
                }
                state = .plain
                bytes.append(byte)
            }
            endedWithReturn = false
            if bytes.count > TextFile.mostLineBytes || ends.count > TextFile.mostLineBytes {
                throw TableError(
                    .malformed, "\(path) line \(recordLine): the row is longer than 1 MiB, or a quote is missing")
            }
        }
    }

    mutating func finish(row: (CSVTable.Row) throws -> Void) throws {
        guard state != .quoted else {
            throw TableError(.malformed, "\(path) line \(recordLine): a quote is opened and not closed")
        }
        if !bytes.isEmpty || !ends.isEmpty { try endRecord(row: row) }
        guard header != nil else {
            throw TableError(.malformed, "\(path) is empty: a table begins with the names of its columns")
        }
    }

    private mutating func endRecord(row: (CSVTable.Row) throws -> Void) throws {
        ends.append(bytes.count)
        defer {
            bytes.removeAll(keepingCapacity: true)
            ends.removeAll(keepingCapacity: true)
            state = .start
        }
        guard let header else {
            var (columns, start): ([String], Int) = ([], 0)
            for end in ends {
                columns.append(String(decoding: bytes[start..<end], as: UTF8.self).trimmingCharacters(in: .whitespaces))
                start = end
            }
            guard columns.contains(where: { !$0.isEmpty }) else { return }
            header = try CSVTable.Header(path: path, columns: columns, needed: needed, separator: separator)
            return
        }
        guard bytes.contains(where: { $0 != 0x20 && $0 != 0x09 }) else { return }
        // Spreadsheets end rows with separators of empty columns; more fields that say something are a shifted row.
        if ends.count > header.columns.count {
            guard bytes[ends[header.columns.count - 1]...].allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else {
                throw TableError(
                    .malformed,
                    "\(path) line \(recordLine) has \(ends.count) fields, the header \(header.columns.count): quote what "
                        + "holds a separator")
            }
        }
        try row(CSVTable.Row(line: recordLine, bytes: bytes, ends: ends, header: header))
    }
}
