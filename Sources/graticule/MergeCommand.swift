import ArgumentParser
import Foundation
import ResultStore
import Terminal
import WholeSlide

struct MergeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge", abstract: "Join results files, for example those of a cluster's jobs.",
        discussion: """
            Finished runs are copied, each file in one transaction; runs that the output has already are left alone, so the same \
            command can be given again. What cannot be merged, is unfinished or failed is named, and the exit status is 3.
            """)

    @Argument(help: "Results files.") var files: [String]
    @Option(help: "Results file to copy into; made, or added to.") var output: String

    func validate() throws {
        guard !files.isEmpty else { throw ValidationError("Give at least one results file.") }
    }

    func run() throws {
        let target = URL(fileURLWithPath: output)
        // The same file under another name; files of the list that are the output itself are named below.
        let store = try ResultStore(target)
        var failures = 0
        var outcomes: [(file: String, outcome: ResultStore.MergeOutcome)] = []
        for file in files {
            let source = URL(fileURLWithPath: file)
            guard SlideFile(source).place != SlideFile(target).place else {
                failures += 1
                Console.error("\(file) is the output itself")
                continue
            }
            do {
                let outcome = try store.merge(source)
                print(
                    "\(file): \(outcome.runs) runs with \(outcome.cells) cells"
                        + (outcome.known > 0 ? ", \(outcome.known) known already" : ""))
                outcomes.append((file, outcome))
            } catch {
                failures += 1
                Console.error("\(error)")
            }
        }
        // What is unfinished or failed in one file may be done in a later one.
        let open = try store.stillOpen(outcomes.map(\.outcome))
        for (file, outcome) in outcomes {
            for run in outcome.unfinished where open.unfinished.contains(run) {
                failures += 1
                Console.error("\(file): \(run.name) is not finished there, so not copied: segment it to its end")
            }
            for input in outcome.failed where open.failed.contains(input) {
                failures += 1
                Console.error("\(file): failed there: \(input.file): \(input.reason)")
            }
        }
        if failures > 0 { throw ExitCode(3) }
    }
}
