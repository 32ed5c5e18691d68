public import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster

/// What an experiment asks.
public enum ExperimentStudy: String, Sendable {
    /// How the methods compare.
    case comparison
    /// What each part of the preset does.
    case ablations

    public var methods: [ExperimentMethod] {
        switch self {
        case .comparison: ExperimentMethod.comparison + ExperimentMethod.robustness
        case .ablations: ExperimentMethod.ablations
        }
    }

    /// - Throws: where the program's own files are not beside it.
    public func folds() throws -> [ExperimentFold] { try StudyTexts.folds()[rawValue] ?? [] }
}

/// Writes the tables and charts of what an experiment has done so far.
public struct ExperimentReport: Sendable {
    private let experiment: LymphocyteExperiment
    private let study: ExperimentStudy
    private let command: String

    public init(experiment: LymphocyteExperiment, study: ExperimentStudy, command: String) {
        self.experiment = experiment
        self.study = study
        self.command = command
    }

    /// Writes the table, and for the comparison ROC curves, learning curves and previews.
    ///
    /// - Returns: the files written.
    public func write(to folder: URL) throws -> [URL] {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var charts: [(name: String, caption: String)] = []
        if study == .comparison {
            charts = try ExperimentCharts(experiment: experiment).write(to: folder)
        }
        let file = folder.appendingPathComponent(study == .comparison ? "lymphocytes.md" : "ablations.md")
        try page(charts: charts).write(to: file)
        return [file] + charts.map { folder.appendingPathComponent($0.name) }
    }

    private func results(_ method: ExperimentMethod, fold: ExperimentFold? = nil) -> [ExperimentResult] {
        experiment.jobs.filter { $0.method.name == method.name && (fold == nil || $0.fold == fold) }
            .compactMap { experiment.result($0) }
    }

    private func page(charts: [(name: String, caption: String)]) throws -> StudyPage {
        var page = StudyPage(
            title: study == .comparison
                ? "The paper's comparison on real tissue (CoNSeP)" : "What moves the AUC: changes of the preset `fast`",
            command: command, note: "Seeds from \(experiment.firstSeed).")
        page.text(
            try StudyTexts.paragraphs(
                "networks", values: ["members": "\(experiment.members)", "steps": "\(experiment.steps)"]))
        page.text(try StudyTexts.paragraphs(study.rawValue))
        if study == .comparison { try addComparison(to: &page) } else { addAblations(to: &page) }
        page.open(experiment.jobs.filter { experiment.result($0) == nil }.map(\.name))
        // Previews show tissue that is not ours to pass on: they are written, not linked, and git ignores them.
        for chart in charts where !chart.name.hasPrefix("previews") {
            page.picture(chart.name, caption: chart.caption)
        }
        if charts.contains(where: { $0.name.hasPrefix("previews") }) {
            page.text(try StudyTexts.paragraphs("previews"))
        }
        return page
    }

    // MARK: Comparison

    private func addComparison(to page: inout StudyPage) throws {
        for fold in experiment.folds {
            page.heading("Test slide \(fold.test), trained on \(fold.training.joined(separator: " and "))")
            page.table(table(of: fold))
        }
        page.heading("Means over seeds, then over both folds")
        page.text(try StudyTexts.paragraphs("means"))
        page.table(means())
        page.text(differences())
        let other = otherPriors()
        if !other.isEmpty {
            page.heading("Other priors, against SR from counts with the same fold and seed")
            page.table(other)
        }
        page.text(cutting())
    }

    private func table(of fold: ExperimentFold) -> MarkdownTable {
        var table = MarkdownTable([
            "method", "natural, disc", "natural, centre", "hard, disc", "hard, centre", "pixel AUC", "IoU",
            "cell F1 (P, R)", "ECE", "training", "seeds",
        ])
        let any = experiment.methods.lazy.compactMap { results($0, fold: fold).first { !$0.darkness.isEmpty } }.first
        if let any {
            func dark(_ set: String) -> String { any.darkness[set].map(ExperimentReport.interval) ?? "–" }
            table.append(
                ["darkness alone", dark("natural"), "–", dark("hard")] + [String](repeating: "–", count: 7))
        }
        for method in experiment.methods {
            let found = results(method, fold: fold)
            if !found.isEmpty { table.append(row(method, found)) }
        }
        return table
    }

    private func row(_ method: ExperimentMethod, _ found: [ExperimentResult]) -> [String] {
        func auc(_ set: String, _ score: String) -> String {
            let values = found.compactMap { $0.patches[set]?[score] }
            guard let first = values.first else { return "–" }
            let mean = values.reduce(0) { $0 + $1.value } / Double(values.count)
            return String(format: "%.3f (%.3f–%.3f)", mean, first.lower, first.upper)
        }
        func mean(_ value: (ExperimentResult) -> Double?) -> String {
            Shown.number(Shown.mean(found.compactMap(value)))
        }
        let cells = found.compactMap(\.cells)
        func cell(_ value: (ExperimentResult.CellScore) -> Double, _ digits: Int) -> String {
            Shown.number(Shown.mean(cells.map(value)), digits: digits)
        }
        let cellText = cells.isEmpty ? "–" : "\(cell(\.f1, 3)) (\(cell(\.precision, 2)), \(cell(\.recall, 2)))"
        return [
            "\(method.title) (`\(method.name)`)", auc("natural", "disc"), auc("natural", "centre"), auc("hard", "disc"),
            auc("hard", "centre"), mean(\.pixelAUC), mean(\.intersectionOverUnion), cellText, mean(\.calibrationError),
            time(method, found), found.map { String($0.seed) }.joined(separator: ", "),
        ]
    }

    /// Mean training time in minutes and seconds.
    private func time(_ method: ExperimentMethod, _ found: [ExperimentResult]) -> String {
        guard method.isTrained, let mean = Shown.mean(found.map(\.trainingSeconds)) else { return "–" }
        return "\(Int(mean / 60)):\(String(format: "%02d", Int(mean) % 60))"
    }

    /// The AUC over the disc on a set of patches, mean over seeds and folds.
    private func disc(_ name: String, _ set: String) -> Double? {
        experiment.methods.first { $0.name == name }
            .flatMap { method in overFolds(method) { $0.patches[set]?["disc"]?.value } }
    }

    /// Of darkness alone on a set of patches, mean over the folds.
    private func darkness(_ set: String) -> Double? {
        let everything = experiment.methods.flatMap { results($0) }
        return Shown.mean(
            experiment.folds.compactMap { fold in
                everything.first { $0.fold == fold.name && $0.darkness[set] != nil }?.darkness[set]?.value
            })
    }

    private func means() -> MarkdownTable {
        var table = MarkdownTable(["method", "natural", "hard", "cell F1", "seeds"])
        table.append(
            ["darkness alone", Shown.number(darkness("natural")), Shown.number(darkness("hard")), "–", "–"])
        for method in experiment.methods
        where experiment.folds.allSatisfy({ !results(method, fold: $0).isEmpty }) {
            table.append([
                method.title, Shown.number(disc(method.name, "natural")), Shown.number(disc(method.name, "hard")),
                Shown.number(overFolds(method) { $0.cells?.f1 }), "\(Set(results(method).map(\.seed)).count)",
            ])
        }
        return table
    }

    /// Label super-resolution against full supervision, in sentences.
    private func differences() -> [String] {
        [("sr", "hr"), ("sr-pair", "hr-pair"), ("sr-self", "hr"), ("sr-self-plain", "hr")].compactMap { ours, theirs in
            guard let hard = disc(ours, "hard"), let otherHard = disc(theirs, "hard"),
                let natural = disc(ours, "natural"), let otherNatural = disc(theirs, "natural")
            else { return nil }
            let (byHard, byNatural) = (Shown.difference(hard - otherHard), Shown.difference(natural - otherNatural))
            return
                "`\(ours)` against `\(theirs)`: hard \(byHard), natural \(byNatural); against darkness on the natural "
                + "patches \(Shown.difference(natural - (darkness("natural") ?? 0)))."
        }
    }

    /// What cutting touching cells apart gains, for the methods where it was measured.
    private func cutting() -> [String] {
        let rows = experiment.methods.compactMap { method -> String? in
            let both = results(method).compactMap { result in
                result.unsplitCells.flatMap { unsplit in result.cells.map { ($0.f1, unsplit.f1) } }
            }
            guard let split = Shown.mean(both.map(\.0)),
                let unsplit = Shown.mean(both.map(\.1))
            else { return nil }
            return String(
                format: "%@ %.3f with, %.3f without (%+.3f)", "`\(method.name)`", split, unsplit, split - unsplit)
        }
        return rows.isEmpty ? [] : ["Cutting touching cells apart, mean cell F1: \(rows.joined(separator: "; "))."]
    }

    /// Mean over seeds in each fold, then over the folds; nil where a fold has none.
    private func overFolds(_ method: ExperimentMethod, _ value: (ExperimentResult) -> Double?) -> Double? {
        let folds = experiment.folds.map { Shown.mean(results(method, fold: $0).compactMap(value)) }
        return folds.contains { $0 == nil } ? nil : Shown.mean(folds.compactMap { $0 })
    }

    /// Other priors against counts, fold by fold and seed by seed.
    private func otherPriors() -> MarkdownTable {
        var table = MarkdownTable(["priors", "fold", "seed", "natural, disc", "hard, disc", "cell F1"])
        guard let base = experiment.methods.first(where: { $0.name == "sr" }) else { return table }
        for name in ["sr-true-priors", "sr-half", "sr-double", "sr-shift"] {
            guard let method = experiment.methods.first(where: { $0.name == name }) else { continue }
            for result in results(method) {
                guard let own = results(base).first(where: { $0.fold == result.fold && $0.seed == result.seed }) else {
                    continue
                }
                func change(_ set: String) -> String {
                    guard let a = result.patches[set]?["disc"]?.value, let b = own.patches[set]?["disc"]?.value else {
                        return "–"
                    }
                    return String(format: "%.3f (%+.3f)", a, a - b)
                }
                let f1 = result.cells.flatMap { a in
                    own.cells.map { String(format: "%.3f (%+.3f)", a.f1, a.f1 - $0.f1) }
                }
                table.append([
                    method.title, result.fold, "\(result.seed)", change("natural"), change("hard"), f1 ?? "–",
                ])
            }
        }
        return table
    }

    // MARK: Ablations

    private func addAblations(to page: inout StudyPage) {
        var table = MarkdownTable([
            "change", "all nuclei, disc", "hard, disc", "pixel AUC", "cell F1", "P, R", "held-out correlation",
            "against", "training", "seeds",
        ])
        for method in experiment.methods {
            let found = results(method)
            guard !found.isEmpty else { continue }
            let reference = experiment.methods.first { $0.name == method.reference && $0.name != method.name }
            let others = reference.map { results($0) } ?? []
            func mean(_ value: (ExperimentResult) -> Double?) -> String {
                guard let own = Shown.mean(found.compactMap(value)) else { return "–" }
                let differences = found.compactMap { result in
                    others.first { $0.seed == result.seed }.flatMap(value).flatMap { other in
                        value(result).map { $0 - other }
                    }
                }
                return String(format: "%.3f", own)
                    + (Shown.mean(differences).map { String(format: " (%+.3f)", $0) } ?? "")
            }
            func plain(_ value: (ExperimentResult) -> Double?) -> String {
                Shown.mean(found.compactMap(value)).map { String(format: "%.2f", $0) } ?? "–"
            }
            table.append([
                "\(method.title) (`\(method.name)`)", mean { $0.patches["natural"]?["disc"]?.value },
                mean { $0.patches["hard"]?["disc"]?.value }, mean(\.pixelAUC), mean { $0.cells?.f1 },
                "\(plain { $0.cells?.precision }), \(plain { $0.cells?.recall })", mean(\.heldOutCorrelation),
                reference.map { "`\($0.name)`" } ?? "–", time(method, found),
                found.map { String($0.seed) }.joined(separator: ", "),
            ])
        }
        page.table(table)
        if let dark = experiment.methods.lazy.compactMap({ results($0).first?.darkness["natural"] }).first {
            page.text("Darkness alone: \(ExperimentReport.interval(dark)) on all nuclei, 0.5 on the pairs.")
        }
        page.text(cutting())
    }

    private static func interval(_ auc: AreaUnderCurve) -> String {
        String(format: "%.3f (%.3f–%.3f)", auc.value, auc.lower, auc.upper)
    }
}
