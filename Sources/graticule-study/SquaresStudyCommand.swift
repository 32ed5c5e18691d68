import ArgumentParser
import Failures
import Foundation
import LabelSuperResolution
import Studies
import Terminal

extension StudyCommand {
    struct Squares: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How many counted squares are enough, chosen by chance and as 'graticule squares' chooses.",
            discussion: """
                Trains the fast preset from counted squares alone and scores it like the comparison. Finished jobs are kept in \
                --work; the same command goes on where it stopped.
                """)

        @Option(help: "Folder with slides/, heatmaps/, truth/, patches/ and counts*.csv.") var data: String
        @Option(help: "Folder for the table.") var output: String
        @Option(help: "Folder for models and results of finished jobs.") var work = ".demo/experiment"
        @Option(help: "Folder of another site, laid out like --data.") var site: String?
        @Option(help: "Numbers of squares, separated by commas.") var counts = "25,50,100,200,400"
        @Option(help: "chance, chosen, noisy, loop, away, there, separated by commas; the last two need --site.")
        var arms = "chance,chosen,noisy,loop,away,there"
        @Option(help: "Seeds of each row.") var seeds = 3
        @Option(help: "Do these folds only, by name, separated by commas (a, b, c).") var folds: String?
        @Flag(help: "Score on slide a, on which settings are chosen, instead of b and c.") var tuning = false
        @Flag(help: "Write the table from what is done, and train nothing.") var reportOnly = false

        private func list(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

        func validate() throws {
            guard list(arms).allSatisfy({ SquareArm(rawValue: $0) != nil }) else {
                throw ValidationError("--arms are chance, chosen, noisy, loop, away and there.")
            }
            guard !list(counts).isEmpty, list(counts).allSatisfy({ (1...10_000).contains(Int($0) ?? 0) }) else {
                throw ValidationError("--counts are numbers of squares, such as 50,100.")
            }
            guard seeds > 0 else { throw ValidationError("--seeds must be at least 1.") }
        }

        func run() throws {
            let source = tuning ? ExperimentStudy.ablations : .comparison
            var study = try SquaresStudy(
                data: URL(fileURLWithPath: data),
                work: URL(fileURLWithPath: work).appendingPathComponent(tuning ? "squares-tuning" : "squares"),
                folds: try source.folds())
            study.arms = list(arms).compactMap(SquareArm.init)
            study.counts = list(counts).compactMap { Int($0) }
            study.seeds = seeds
            if let site, !tuning { try study.addSite(URL(fileURLWithPath: site)) }
            study.ownFolds = folds.map { Set(list($0)) }
            let isComplete =
                try reportOnly
                || study.runOnTerminal { result in
                    summary(of: result) + String(format: ", empty %.2f", result.empty ?? 0)
                }
            let report = SquaresReport(
                study: study,
                command: "graticule-study squares --data \(data)" + (site.map { " --site \($0)" } ?? "")
                    + " --output \(output)")
            if !tuning { print(try report.write(to: URL(fileURLWithPath: output)).path) }
            if !isComplete { throw ExitCode(3) }
        }
    }
}
