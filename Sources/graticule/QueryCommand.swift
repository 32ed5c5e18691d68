import ArgumentParser
import Foundation
import Raster
import ResultStore
import Tables

struct QueryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "query", abstract: "Ask a results file in SQL.",
        discussion: """
            Read-only. The tables are described in docs/schema.md; a start:
              graticule query results.sqlite "SELECT * FROM slide_summary"
            """)

    @Argument(help: "Results file.") var results: String
    @Argument(help: "One SELECT statement.") var sql: String
    @Option(help: "table, csv or json.") var format = "table"

    func validate() throws {
        guard ["table", "csv", "json"].contains(format) else {
            throw ValidationError("--format must be table, csv or json, not '\(format)'.")
        }
    }

    func run() throws {
        let store = try ResultStore(readOnly: URL(fileURLWithPath: results))
        switch format {
        case "csv":
            try store.query(sql) { names, values in
                print(
                    (values?.map(QueryCommand.csv) ?? names.map { QueryCommand.csv(.text($0)) }).joined(separator: ","))
            }
        case "json":
            var isFirst = true
            try store.query(sql) { names, values in
                guard let values else {
                    print("[", terminator: "")
                    return
                }
                let fields = zip(names, values).map { "\(QueryCommand.json(.text($0))): \(QueryCommand.json($1))" }
                print("\(isFirst ? "" : ",")\n  {\(fields.joined(separator: ", "))}", terminator: "")
                isFirst = false
            }
            print("\n]")
        default: try printTable(store)
        }
    }

    /// A table's columns are as wide as their widest value, so its rows are kept; for long results there is csv.
    private func printTable(_ store: ResultStore) throws {
        var rows: [[String]] = []
        try store.query(sql) { names, values in rows.append(values?.map(QueryCommand.plain) ?? names) }
        guard let header = rows.first else { return }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for (index, row) in rows.enumerated() {
            let padded = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            print(padded.joined(separator: "  "))
            if index == 0 { print(widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")) }
        }
    }

    private static func plain(_ value: ResultStore.Value) -> String {
        switch value {
        case .null: ""
        case .integer(let number): String(number)
        case .real(let number): String(number)
        case .text(let text): text.replacing("\n", with: " ")
        case .blob(let bytes): "(\(bytes.count) bytes)"
        }
    }

    private static func csv(_ value: ResultStore.Value) -> String {
        switch value {
        case .blob(let bytes): hex(bytes)
        case .text(let text): TableText.field(text)
        default: plain(value)
        }
    }

    private static func json(_ value: ResultStore.Value) -> String {
        switch value {
        case .null: "null"
        case .integer(let number): String(number)
        case .real(let number): number.isFinite ? String(number) : "null"
        case .blob(let bytes): "\"\(hex(bytes))\""
        case .text(let text):
            (try? JSONEncoder().encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
        }
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String(format: "%02x", $0) }.joined()
    }
}
