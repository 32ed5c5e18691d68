import ArgumentParser
import Failures
import Foundation
import Lymphocytes
import ResultStore
import Terminal

struct EvaluateCellsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate-cells", abstract: "Compare found cells with true ones.",
        discussion: """
            TRUTH.csv has the columns slide, x, y (level-0 pixels) and type. Each true cell is matched with at most one found \
            cell no farther away than --within.
            """)

    @Argument(help: "Table of true cells.") var truth: String
    @Option(help: "Results file from 'graticule segment'.") var results: String
    @Option(help: "Largest distance of a match in µm.") var within = 4.0
    @Option(help: "Types that are lymphocytes, separated by commas.") var types = "lymphocyte,inflammatory,til,2"
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard (0.01...1000).contains(within) else {
            throw ValidationError("--within must be between 0.01 and 1000 µm.")
        }
    }

    private struct Report: Encodable {
        let slide: String
        let model: String
        let trueCells: Int
        let foundCells: Int
        let matched: Int
        let precision: Double
        let recall: Double
        let f1: Double
    }

    func run() throws {
        guard FileManager.default.fileExists(atPath: results) else {
            throw StoreError(.missing, "there is no results file at \(results)")
        }
        let wanted = Set(types.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces).lowercased() })
        var others: [String: Int] = [:]
        let cells = try CellEvaluation.readTruth(URL(fileURLWithPath: truth), types: wanted) { others = $0 }
        if !others.isEmpty {
            // A misspelt type would be one of these.
            let named = others.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(8)
            Console.note(
                "not counted as \(types): " + named.map { "\($0.value) of type '\($0.key)'" }.joined(separator: ", ")
                    + (others.count > named.count ? ", …" : ""))
        }
        // Where one may not write, the comparison is shown and not stored.
        let file = URL(fileURLWithPath: results)
        let isWritable = ResultStore.isWritable(file)
        let store = try isWritable ? ResultStore(file) : ResultStore(readOnly: file)
        if !isWritable { Console.note("\(results) cannot be written to: the comparison is not stored") }
        var reports: [Report] = []
        var missing: [String] = []
        for (slide, points) in cells.sorted(by: { $0.key < $1.key }) {
            let runs = try store.finishedRuns(slideNamed: slide)
            if runs.isEmpty { missing.append(slide) }
            for run in runs {
                let record = CellEvaluation.compare(
                    found: try store.centroids(run: run.id), truth: points, distance: within / run.micronsPerPixel,
                    withinMicrons: within, source: truth)
                if isWritable { try store.storeCellEvaluation(record, run: run.id) }
                reports.append(
                    Report(
                        slide: slide, model: run.model, trueCells: record.trueCells, foundCells: record.foundCells,
                        matched: record.matched, precision: record.precision, recall: record.recall, f1: record.f1))
            }
        }
        if json {
            try Console.json(reports)
        } else {
            for report in reports {
                print(
                    String(
                        format:
                            "%@ (%@): %d true, %d found, %d matched within %g µm: precision %.3f, recall %.3f, F1 %.3f",
                        report.slide, report.model, report.trueCells, report.foundCells, report.matched, within,
                        report.precision, report.recall, report.f1))
            }
        }
        for slide in missing { Console.error("\(results) has no finished run of slide '\(slide)': segment it first") }
        if !missing.isEmpty { throw ExitCode(reports.isEmpty ? 1 : 3) }
    }
}
