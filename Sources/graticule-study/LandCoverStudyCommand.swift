import ArgumentParser
import Failures
import Foundation
import LabelSuperResolution
import Studies
import Terminal

extension StudyCommand {
    struct LandCover: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "landcover",
            abstract: "Compare criteria on land: real tiles of two places, and synthetic land.",
            discussion: """
                Trains the fast preset with each criterion, maps the other place and scores the maps. Finished jobs are kept in \
                --work; the same command goes on where it stopped.
                """)

        @Option(help: "Folder with naip/, nlcd/ and landcover/.") var data: String
        @Option(help: "Folder for the table.") var output: String
        @Option(help: "Folder for models and results of finished jobs.") var work = ".demo/experiment/landcover"
        @Option(help: "Criteria, separated by commas.") var criteria = "sr,interval,soft,hard,hr"
        @Option(help: "Seeds of each row.") var seeds = 3
        @Flag(help: "Write the table from what is done, and train nothing.") var reportOnly = false

        private var names: [String] { criteria.split(separator: ",").map(String.init) }

        func validate() throws {
            guard !names.isEmpty, names.allSatisfy(Objective.names.contains) else {
                throw ValidationError("--criteria are some of \(Objective.names.joined(separator: ", ")).")
            }
            guard seeds > 0 else { throw ValidationError("--seeds must be at least 1.") }
        }

        func run() throws {
            var study = try LandCoverStudy(data: URL(fileURLWithPath: data), work: URL(fileURLWithPath: work))
            study.criteria = names
            study.seeds = seeds
            let isComplete =
                try reportOnly
                || study.runOnTerminal { result in
                    String(
                        format: "accuracy %.3f, developed %.3f", result.all.accuracy,
                        result.developed.accuracy)
                }
            let report = LandCoverReport(
                study: study, command: "graticule-study landcover --data \(data) --output \(output)")
            print(try report.write(to: URL(fileURLWithPath: output)).path)
            if !isComplete { throw ExitCode(3) }
        }
    }
}
