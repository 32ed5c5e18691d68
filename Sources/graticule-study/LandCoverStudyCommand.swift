import ArgumentParser
import Failures
import Foundation
import Studies
import Terminal

extension StudyCommand {
    struct LandCover: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "landcover",
            abstract: "Compare criteria, priors and shares of true labels on land.",
            discussion: """
                Trains the fast preset with each method, maps land that was not trained on and scores the maps: real tiles of two \
                places, synthetic land, and a semi-synthetic scene of two states. Finished jobs are kept in --work; the same \
                command goes on where it stopped.
                """)

        @Option(
            help:
                "Folder with naip/, nlcd/ and landcover/; chesapeake-1m/ and naip-series/ for the semi-synthetic scene."
        )
        var data: String
        @Option(help: "Folder for the table.") var output: String
        @Option(help: "Folder for models and results of finished jobs.") var work = ".demo/experiment/landcover"
        @Option(help: "Which land, separated by commas: tiles, synthetic, semi-synthetic, change.")
        var land = "tiles,synthetic,semi-synthetic,change"
        @Option(help: "Which rows, separated by commas, as sr,hr+sr; all if not given.") var methods: String?
        @Option(help: "Seeds of each row.") var seeds = 3
        @Flag(help: "Write the table from what is done, and train nothing.") var reportOnly = false

        private static let names = LandCoverStudy.dataNames + ["change"]

        private func names(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

        func validate() throws {
            guard names(land).allSatisfy(LandCover.names.contains), !names(land).isEmpty else {
                throw ValidationError("--land is some of \(LandCover.names.joined(separator: ", ")).")
            }
            guard methods.map({ names($0).allSatisfy(LandCoverStudy.methodNames.contains) }) ?? true else {
                throw ValidationError("--methods are some of \(LandCoverStudy.methodNames.joined(separator: ", ")).")
            }
            guard seeds > 0 else { throw ValidationError("--seeds must be at least 1.") }
        }

        func run() throws {
            var study = try LandCoverStudy(
                data: URL(fileURLWithPath: data), work: URL(fileURLWithPath: work), names: Set(names(land)))
            study.only = methods.map { Set(names($0)) }
            study.seeds = seeds
            let series = URL(fileURLWithPath: data).appendingPathComponent("naip-series")
            var water: WaterStudy?
            if names(land).contains("change"), FileManager.default.fileExists(atPath: series.path) {
                water = try WaterStudy(data: series, work: URL(fileURLWithPath: work))
                water?.seeds = seeds
            }
            var isComplete =
                try reportOnly
                || study.runOnTerminal { result in
                    result.scores.sorted { $0.key < $1.key }.map {
                        String(
                            format: "%@: accuracy %.3f, developed IoU %.3f", $0.key, $0.value.accuracy,
                            $0.value.developedMeanIntersectionOverUnion)
                    }.joined(separator: "; ")
                }
            if !reportOnly, let water {
                let isDone = try water.runOnTerminal { result in
                    String(
                        format: "AUC by maps %.3f, %ld windows falsely found", result.map.areaUnderCurve ?? .nan,
                        result.map.falseWindows)
                }
                isComplete = isComplete && isDone
            }
            let report = LandCoverReport(
                study: study, water: water, command: "graticule-study landcover --data \(data) --output \(output)")
            print(try report.write(to: URL(fileURLWithPath: output)).path)
            if !isComplete { throw ExitCode(3) }
        }
    }
}
