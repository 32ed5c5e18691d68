public import Foundation
internal import LandCover

/// Writes the tables of what the study of land cover has done so far.
public struct LandCoverReport: Sendable {
    private let study: LandCoverStudy
    private let command: String

    public init(study: LandCoverStudy, command: String) {
        self.study = study
        self.command = command
    }

    private static let titles = [
        "sr": "SR", "interval": "interval, ρ", "soft": "soft naive", "hard": "hard naive", "em": "EM",
        "hr": "every pixel: HR",
    ]

    /// - Returns: the file written.
    public func write(to folder: URL) throws -> URL {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("landcover.md")
        var page = StudyPage(title: "Land cover", command: command, note: "Seeds from 1.")
        page.text(try StudyTexts.paragraphs("landcover"))
        for table in ["tiles", "synthetic"] {
            page.heading(table == "tiles" ? "Real tiles" : "Synthetic land")
            page.text(try StudyTexts.paragraphs("landcover-\(table)"))
            page.table(rows(of: table))
        }
        try page.write(to: file)
        return file
    }

    /// Means over seeds of maps of all folds together.
    private func rows(of table: String) -> MarkdownTable {
        var rows = MarkdownTable([
            "", "accuracy", "mean IoU", "developed: accuracy", "developed: mean IoU", "IoU impervious", "seeds",
        ])
        for criterion in study.criteria {
            var scores: [[Double]] = []
            for seed in 1...UInt64(study.seeds) {
                let results = study.jobs.filter {
                    $0.criterion == criterion && $0.seed == seed && $0.fold.table == table
                }.map { study.result($0) }
                guard !results.isEmpty, results.allSatisfy({ $0 != nil }) else { continue }
                let all = MapEvaluation.Confusion.sum(results.compactMap { $0?.all.confusion })
                let developed = MapEvaluation.Confusion.sum(results.compactMap { $0?.developed.confusion })
                guard let all, let developed else { continue }
                scores.append([
                    all.accuracy, all.meanIntersectionOverUnion, developed.accuracy,
                    developed.meanIntersectionOverUnion, all.intersectionOverUnion(of: all.labels.count - 1) ?? 0,
                ])
            }
            guard !scores.isEmpty else { continue }
            let means = (0..<5).map { column in Shown.mean(scores.map { $0[column] }) }
            rows.append(
                [LandCoverReport.titles[criterion] ?? criterion] + means.map { Shown.number($0) } + ["\(scores.count)"])
        }
        return rows
    }
}
