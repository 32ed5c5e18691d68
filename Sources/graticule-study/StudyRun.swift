import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Studies
import Terminal

extension Study {
    /// Does what is not done yet, and shows how it goes on standard error.
    ///
    /// - Parameter summary: what is told of a job that is done, beside its name and how long it took.
    /// - Returns: whether all is done.
    func runOnTerminal(summary: (Result) -> String) throws -> Bool {
        let (line, start) = (ProgressLine(), Date())
        var ended = 0
        return try run { event in
            switch event {
            case .begun(let job, let number, let count):
                let spent = Date().timeIntervalSince(start)
                let left = ended > 0 ? Console.duration(spent / Double(ended) * Double(count - number + 1)) : "?"
                Console.note("job \(number)/\(count): \(job.name)  (about \(left) left)")
            case .progress(let job, let text): line.show("\(job.name): \(text)")
            case .done(let job, let result, let seconds):
                line.end()
                ended += 1
                Console.note("  \(job.name): \(summary(result)), \(Console.duration(seconds))")
            case .failed(_, let failure):
                line.end()
                ended += 1
                Console.error("\(failure.name): \(failure.message)")
            }
        }
    }
}

/// AUC over the disc and cell F1 of an experiment's job.
func summary(of result: ExperimentResult) -> String {
    func auc(_ set: String) -> String {
        result.patches[set]?["disc"].map { String(format: "%.3f", $0.value) } ?? "–"
    }
    let f1 = result.cells.map { String(format: "%.3f (P %.2f, R %.2f)", $0.f1, $0.precision, $0.recall) } ?? "–"
    return "AUC \(auc("natural")), hard \(auc("hard")), cell F1 \(f1)"
}
