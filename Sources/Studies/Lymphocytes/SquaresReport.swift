public import Foundation
internal import LabelSuperResolution

/// Writes the table of what the study of counted squares has done so far.
public struct SquaresReport: Sendable {
    private let study: SquaresStudy
    private let command: String

    public init(study: SquaresStudy, command: String) {
        self.study = study
        self.command = command
    }

    private static let titles: [SquareArm: String] = [
        .chance: "chance", .chosen: "chosen", .noisy: "chosen, ± 15 %", .loop: "loop of ten", .away: "as it is",
        .there: "with 50 squares counted there",
    ]

    /// A row of another study that these are compared with, by fold: natural, hard, cell F1.
    private struct OtherRow: Decodable {
        let title: String
        let seeds: Int
        let folds: [String: [Double]]
    }

    /// - Returns: the file written.
    public func write(to folder: URL) throws -> URL {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("squares.md")
        try page().write(to: file)
        return file
    }

    private func results(_ arm: SquareArm, count: Int, fold: String, site: String? = nil) -> [ExperimentResult] {
        study.jobs.filter {
            $0.arm == arm && $0.count == count && $0.fold.name == fold && $0.site?.name == site
        }.compactMap { study.result($0) }
    }

    private static func cells(_ results: [ExperimentResult]) -> [Double?] {
        func mean(_ values: [Double]) -> Double? { Shown.mean(values) }
        return [
            mean(results.compactMap { $0.patches["natural"]?["disc"]?.value }),
            mean(results.compactMap { $0.patches["hard"]?["disc"]?.value }), mean(results.compactMap { $0.cells?.f1 }),
        ]
    }

    private func page() throws -> StudyPage {
        var page = StudyPage(title: "How many squares are enough", command: command, note: "Seeds from 1.")
        page.text(try StudyTexts.paragraphs("squares"))
        page.heading("Means of both folds")
        page.table(try summary())
        for fold in study.folds {
            page.heading("Test slide \(fold.test), trained on \(fold.training.joined(separator: " and "))")
            page.table(table(of: fold))
        }
        if !study.sites.isEmpty {
            page.heading("Another site, another scanner")
            page.text(
                try StudyTexts.paragraphs(
                    "squares-site",
                    values: [
                        "hematoxylin": "\(OtherScanner.factors.hematoxylin)", "eosin": "\(OtherScanner.factors.eosin)",
                    ]))
            page.table(siteTable())
        }
        page.open(study.jobs.filter { study.result($0) == nil }.map(\.name))
        return page
    }

    private var rows: [(arm: SquareArm, count: Int)] {
        study.counts.sorted().flatMap { count in
            study.arms.filter { !$0.isOfSite }.map { (arm: $0, count: count) }
        }.filter { row in study.folds.contains { !results(row.arm, count: row.count, fold: $0.name).isEmpty } }
    }

    private func summary() throws -> MarkdownTable {
        var table = MarkdownTable(["labels", "natural", "hard", "cell F1", "empty", "seeds"])
        for row in rows {
            let all = study.folds.map { results(row.arm, count: row.count, fold: $0.name) }
            guard all.allSatisfy({ !$0.isEmpty }) else { continue }
            // Folds weigh the same, also where one has more seeds by now.
            let means = all.map(SquaresReport.cells)
            let values = (0..<3).map { column in Shown.mean(means.compactMap { $0[column] }) }
            table.append(
                ["\(row.count) squares, \(SquaresReport.titles[row.arm] ?? "")"] + values.map { Shown.number($0) } + [
                    Shown.number(Shown.mean(all.joined().compactMap(\.empty)), digits: 2),
                    all.map { String($0.count) }.joined(separator: " + "),
                ])
        }
        for other in try StudyTexts.rows("squares-compared", as: OtherRow.self)
        where study.folds.allSatisfy({ other.folds[$0.name]?.count == 3 }) {
            let known = study.folds.compactMap { other.folds[$0.name] }
            let values = (0..<3).map { column in Shown.number(Shown.mean(known.map { $0[column] })) }
            table.append([other.title] + values + ["–", known.map { _ in "\(other.seeds)" }.joined(separator: " + ")])
        }
        return table
    }

    private func table(of fold: ExperimentFold) -> MarkdownTable {
        var table = MarkdownTable(["labels", "natural", "hard", "cell F1 (P, R)", "empty", "seeds"])
        for row in rows {
            let found = results(row.arm, count: row.count, fold: fold.name)
            guard !found.isEmpty else { continue }
            table.append(SquaresReport.line("\(row.count) squares, \(SquaresReport.titles[row.arm] ?? "")", found))
        }
        return table
    }

    private func siteTable() -> MarkdownTable {
        var table = MarkdownTable(["test slide", "natural", "hard", "cell F1 (P, R)", "empty", "seeds"])
        for site in study.sites {
            for fold in site.folds {
                for arm in study.arms where arm.isOfSite {
                    let found = results(arm, count: 100, fold: fold.name, site: site.name)
                    guard !found.isEmpty else { continue }
                    let place = site.name == "scanner" ? "\(fold.test), other scanner" : fold.test
                    table.append(SquaresReport.line("\(place): \(SquaresReport.titles[arm] ?? "")", found))
                }
            }
        }
        return table
    }

    private static func line(_ title: String, _ results: [ExperimentResult]) -> [String] {
        let values = cells(results)
        let precision = Shown.number(Shown.mean(results.compactMap { $0.cells?.precision }), digits: 2)
        let recall = Shown.number(Shown.mean(results.compactMap { $0.cells?.recall }), digits: 2)
        return [
            title, Shown.number(values[0]), Shown.number(values[1]),
            "\(Shown.number(values[2])) (\(precision), \(recall))",
            Shown.number(Shown.mean(results.compactMap(\.empty)), digits: 2),
            results.map { String($0.seed) }.joined(separator: ", "),
        ]
    }
}
