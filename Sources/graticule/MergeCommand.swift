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
        // What is unfinished or failed in one file may be done in a later one.
        var unfinished: [(file: String, slide: String)] = []
        var failedFiles: [String: [String]] = [:]
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
                unfinished += outcome.unfinished.map { (file, $0) }
                for failure in outcome.failed { failedFiles[failure, default: []].append(file) }
            } catch {
                failures += 1
                Console.error("\(error)")
            }
        }
        let states = try store.inputStates()
        let done = Set(states.done.map { SlideFile(URL(fileURLWithPath: $0)).name })
        for (file, slide) in unfinished where !done.contains(slide) {
            failures += 1
            Console.error("\(file): \(slide) is not finished there, so not copied: segment it to its end")
        }
        let failing = Set(states.failed.values)
        for (failure, files) in failedFiles.sorted(by: { $0.key < $1.key })
        where failing.contains(where: { failure.hasSuffix($0) }) {
            failures += 1
            Console.error("\(files[0]): failed there: \(failure)")
        }
        if failures > 0 { throw ExitCode(3) }
    }
}
