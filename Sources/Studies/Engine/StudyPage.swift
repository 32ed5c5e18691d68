internal import Foundation
internal import Raster

/// A table in Markdown.
struct MarkdownTable {
    private let header: [String]
    private var rows: [[String]] = []

    init(_ header: [String]) {
        self.header = header
    }

    var isEmpty: Bool { rows.isEmpty }

    /// - Parameter row: as many cells as the header has.
    mutating func append(_ row: [String]) {
        precondition(row.count == header.count, "a row has a cell for each column")
        rows.append(row)
    }

    var lines: [String] {
        func line(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
        return [line(header), "|" + String(repeating: "---|", count: header.count)] + rows.map(line)
    }
}

/// A page of docs/results: what was asked, by which command, when and where, and what came out.
struct StudyPage {
    private(set) var lines: [String]

    /// - Parameter note: follows the command, date and machine.
    init(title: String, command: String, note: String) {
        let date = ISO8601DateFormatter.string(
            from: Date(), timeZone: .gmt, formatOptions: [.withFullDate, .withDashSeparatorInDate])
        let machine = "\(ProcessInfo.processInfo.activeProcessorCount) cores, \(StudyPage.processor)"
        lines = ["# \(title)", "", "Command: `\(command)`. \(date), \(machine). \(note)"]
    }

    mutating func heading(_ text: String) { lines += ["", "## \(text)"] }
    /// Paragraphs.
    mutating func text(_ paragraphs: String...) { text(paragraphs) }
    mutating func text(_ paragraphs: [String]) { for paragraph in paragraphs { lines += ["", paragraph] } }
    mutating func table(_ table: MarkdownTable) { lines += [""] + table.lines }
    mutating func picture(_ name: String, caption: String) { lines += ["", "![\(caption)](\(name))"] }

    /// What is still to be done, so that a page that is half done says so.
    mutating func open(_ names: [String]) {
        guard !names.isEmpty else { return }
        text(
            "Not done yet; the same command goes on with them: \(names.map { "`\($0)`" }.joined(separator: ", ")).")
    }

    /// Notes of people at the end of a page begin here.
    static let notesHeading = "## Notes from the laboratory"

    /// Writes the page; the notes at the end of the page that it replaces stay.
    func write(to url: URL) throws {
        let old = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
        let notes = old.range(of: "\n\(StudyPage.notesHeading)").map { old[$0.lowerBound...] } ?? ""
        try AtomicFile.write(Data((lines.joined(separator: "\n") + "\n" + notes).utf8), to: url)
    }

    private static var processor: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line.flatMap { $0.split(separator: ":").last }.map { $0.trimmingCharacters(in: .whitespaces) }
            ?? "unknown"
    }
}

/// Numbers as tables show them.
enum Shown {
    static func mean(_ values: [Double]) -> Double? {
        values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }

    /// With so many digits; a dash where there is none.
    static func number(_ value: Double?, digits: Int = 3) -> String {
        value.map { String(format: "%.\(digits)f", $0) } ?? "–"
    }

    /// With its sign.
    static func difference(_ value: Double) -> String { String(format: "%+.3f", value) }
}
