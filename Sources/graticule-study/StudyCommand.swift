import ArgumentParser
import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Studies
import Terminal
import Torch

/// The developers' program: it regenerates the tables of docs/results.
@main
struct StudyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graticule-study", abstract: "Regenerate the comparison tables of docs/results.",
        subcommands: [Lymphocytes.self, Squares.self, LandCover.self])

    static func main() {
        TorchRuntime.threads = TorchRuntime.availableProcessors()
        TorchRuntime.keepBuffers()
        runAsProgram()
    }

    struct Lymphocytes: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare every criterion and rival on real tissue with outlined nuclei (CoNSeP).",
            discussion: """
                Trains and scores each method on each fold, one job after another, and writes lymphocytes.md, or ablations.md \
                with --study ablations, with charts beside it. Finished jobs are kept in --work; the same command goes on \
                where it stopped.
                """)

        @Option(help: "Folder with slides/, heatmaps/, truth/, patches/ and counts*.csv.") var data: String
        @Option(help: "Folder for the tables and charts.") var output: String
        @Option(
            help: "comparison: every method on two folds. ablations: one change of the preset at a time, on slide a.")
        var study = "comparison"
        @Option(help: "Folder for models and results of finished jobs.") var work = ".demo/experiment"
        @Option(help: "Steps of each training; the preset's if not given.") var steps: Int?
        @Option(help: "Only these methods, by name, separated by commas.") var only: String?
        @Option(
            help:
                "Train on these folds only, by name, separated by commas: several processes may share --work, each with folds of its own."
        )
        var folds: String?
        @Option(
            help:
                "At most this many seeds of a method, to have every row soon; all that the method asks for if not given."
        )
        var seeds: Int?
        @Flag(help: "Write the tables from what is done, and train nothing.") var reportOnly = false

        func validate() throws {
            guard ExperimentStudy(rawValue: study) != nil else {
                throw ValidationError("--study must be comparison or ablations.")
            }
            guard (seeds ?? 1) > 0 else { throw ValidationError("--seeds must be at least 1.") }
            guard (steps ?? 1) > 0 else { throw ValidationError("--steps must be at least 1.") }
            let names = Set((ExperimentStudy(rawValue: study) ?? .comparison).methods.map(\.name))
            for name in (only ?? "").split(separator: ",").map(String.init) where !names.contains(name) {
                throw ValidationError(
                    "There is no method '\(name)'; there are \(names.sorted().joined(separator: ", ")).")
            }
            let known = Set(try (ExperimentStudy(rawValue: study) ?? .comparison).folds().map(\.name))
            for name in (folds ?? "").split(separator: ",").map(String.init) where !known.contains(name) {
                throw ValidationError(
                    "There is no fold '\(name)'; there are \(known.sorted().joined(separator: ", ")).")
            }
        }

        func run() throws {
            let study = ExperimentStudy(rawValue: study) ?? .comparison
            let wanted = Set((only ?? "").split(separator: ",").map(String.init))
            let wantedFolds = Set((folds ?? "").split(separator: ",").map(String.init))
            var experiment = try LymphocyteExperiment(
                data: URL(fileURLWithPath: data),
                work: URL(fileURLWithPath: work).appendingPathComponent(study.rawValue),
                folds: try study.folds(), trainedFolds: wantedFolds.isEmpty ? nil : wantedFolds,
                methods: study.methods.filter { wanted.isEmpty || wanted.contains($0.name) },
                steps: steps)
            experiment.mostSeeds = seeds ?? .max
            let isComplete = try reportOnly || experiment.runOnTerminal(summary: summary(of:))
            let report = ExperimentReport(
                experiment: experiment, study: study,
                command: "graticule-study lymphocytes --data \(data) --output \(output)"
                    + (study == .comparison ? "" : " --study \(study.rawValue)")
                    + (steps.map { " --steps \($0)" } ?? "") + (only.map { " --only \($0)" } ?? "")
                    + (folds.map { " --folds \($0)" } ?? "")
                    + (seeds.map { " --seeds \($0)" } ?? ""))
            for file in try report.write(to: URL(fileURLWithPath: output)) { print(file.path) }
            if !isComplete { throw ExitCode(3) }
        }
    }
}
