public import Foundation

/// A small comma-separated table with a header line; fields may be quoted.
public struct CSVTable: Sendable {
    /// One line, with its fields by column name.
    public struct Row: Sendable {
        /// Line number in the file, 1 for the header.
        public let line: Int
        let fields: [String]
        let columns: [String: Int]
        let path: String

        public func has(_ column: String) -> Bool { columns[column] != nil }

        /// The text in a column.
        ///
        /// - Throws: ``SlideError`` with file and line where the line is too short or the column missing.
        public func text(_ column: String) throws(SlideError) -> String {
            guard let index = columns[column] else {
                throw SlideError(.table, "\(path) has no column '\(column)'")
            }
            guard index < fields.count else {
                throw SlideError(.table, "\(path) line \(line): the field '\(column)' is missing")
            }
            return fields[index]
        }

        /// The finite number in a column.
        public func number(_ column: String) throws(SlideError) -> Double {
            let text = try text(column)
            guard let value = Double(text.trimmingCharacters(in: .whitespaces)), value.isFinite else {
                throw SlideError(.table, "\(path) line \(line): '\(text)' in column '\(column)' is no number")
            }
            return value
        }
    }

    public let path: String
    public let columns: [String]
    public let rows: [Row]

    /// Reads a table and checks that it has the columns that are needed.
    public init(_ url: URL, requiring needed: [String]) throws(SlideError) {
        path = url.path
        let bytes = try TextFile.read(url)
        let lines = CSVTable.split(String(decoding: bytes, as: UTF8.self))
        guard let header = lines.first else { throw SlideError(.table, "\(path) is empty") }
        let columns = header.fields.map { $0.trimmingCharacters(in: .whitespaces) }
        let missing = needed.filter { !columns.contains($0) }
        guard missing.isEmpty else {
            throw SlideError(
                .table,
                "\(path) has no column '\(missing.joined(separator: "', '"))' (it has: \(columns.joined(separator: ", ")))"
            )
        }
        self.columns = columns
        let index = Dictionary(columns.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        let path = path
        rows = lines.dropFirst().map { Row(line: $0.line, fields: $0.fields, columns: index, path: path) }
    }

    private static func split(_ text: String) -> [(line: Int, fields: [String])] {
        var result: [(Int, [String])] = []
        var fields: [String] = []
        var field: [UInt8] = []
        var isQuoted = false
        var line = 1
        var start = 1
        func endField() {
            fields.append(String(decoding: field, as: UTF8.self))
            field.removeAll(keepingCapacity: true)
        }
        func endLine() {
            endField()
            if fields != [""] { result.append((start, fields)) }
            fields.removeAll(keepingCapacity: true)
        }
        var previousQuote = false
        for byte in text.utf8 {
            if isQuoted {
                if byte == UInt8(ascii: "\"") {
                    isQuoted = false
                    previousQuote = true
                } else {
                    if byte == UInt8(ascii: "\n") { line += 1 }
                    field.append(byte)
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""):
                // Two quotes inside quotes are one.
                if previousQuote { field.append(byte) }
                isQuoted = true
            case UInt8(ascii: ","): endField()
            case UInt8(ascii: "\r"): break
            case UInt8(ascii: "\n"):
                endLine()
                line += 1
                start = line
            default: field.append(byte)
            }
            previousQuote = false
        }
        if !field.isEmpty || !fields.isEmpty { endLine() }
        return result
    }
}
