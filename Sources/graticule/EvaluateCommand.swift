import ArgumentParser
import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Raster
import ResultStore
import Terminal

struct EvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Score a model on a patch classification set.",
        discussion: """
            The set is a folder with labels.csv (file, label, mpp) or one subfolder per class. Prints the AUC with its 95 % \
            interval (DeLong), beside that of darkness alone: the mean haematoxylin at the centre, without any training.
            """)

    @Argument(help: "Folder of the patch set.") var patches: String
    @Option(help: "Model folder.") var model: String
    @Option(help: "SQLite file to store the scores in.") var results: String?
    @Option(help: "centre: log-odds at the centre pixel; disc: their mean over a disc inside the nucleus.") var score =
        "centre"
    @Option(help: "auto, fp32, int8 or libtorch.") var precision = "auto"
    @Flag(help: "Print JSON.") var json = false
    @Option(help: "PNG file for the ROC curve; beside the results where they are stored.") var roc: String?
    @Option(help: "PNG file for the reliability curve; beside the results where they are stored.") var reliability:
        String?
    @Option(help: "µm per pixel of the patches, where the set does not say it.") var mpp: Double?
    @Flag(help: "Score even on patches of slides that the model was trained on.") var allowTrainingSlides = false

    func validate() throws {
        guard PatchScore(rawValue: score) != nil else {
            throw ValidationError("--score must be centre or disc, not '\(score)'.")
        }
        guard InferenceEngine(named: precision) != nil else {
            throw ValidationError("--precision must be auto, fp32, int8 or libtorch.")
        }
    }

    func run() throws {
        let loaded = try SegmentationModel(
            URL(fileURLWithPath: model), engine: InferenceEngine(named: precision) ?? .automatic)
        let set = try PatchSet(URL(fileURLWithPath: patches), givenScale: mpp)
        let method = PatchScore(rawValue: score) ?? .centre
        let shared = set.slides(among: loaded.description.settings.slides.map(\.name))
        guard shared.isEmpty || allowTrainingSlides else {
            throw ValidationError(
                "The model was trained on \(shared.joined(separator: ", ")), from which \(set.name) is cut; such a score tells "
                    + "nothing. Use other patches, or --allow-training-slides.")
        }
        let inputs = [URL(fileURLWithPath: patches), URL(fileURLWithPath: model)]
        if let results { try OutputGuard.check(URL(fileURLWithPath: results), inputs: inputs, isResults: true) }
        for picture in [roc, reliability].compactMap({ $0 }) {
            try OutputGuard.check(
                URL(fileURLWithPath: picture), inputs: inputs + (results.map { [URL(fileURLWithPath: $0)] } ?? []))
        }
        let isWritable = results.map { ResultStore.isWritable(URL(fileURLWithPath: $0)) } ?? false
        if let results, !isWritable {
            Console.note("\(results) cannot be written to: the scores are shown and not stored")
        }
        if let roc, let reliability,
            URL(fileURLWithPath: roc).standardizedFileURL == URL(fileURLWithPath: reliability).standardizedFileURL
        {
            throw ValidationError("--roc and --reliability are the same file.")
        }
        let store = try isWritable ? results.map { try ResultStore(URL(fileURLWithPath: $0)) } : nil
        let line = ProgressLine()
        let evaluation = try PatchEvaluation(set, model: loaded, score: method) { done, all in
            line.show("patch \(done)/\(all)")
        }
        line.end()
        try store.map { try evaluation.save(in: $0, set: set, model: loaded, score: method) }
        let stored = isWritable ? results : nil
        let chart = roc ?? stored.map { ($0 as NSString).deletingPathExtension + "-roc-\(set.name)-\(score).png" }
        if let chart {
            try evaluation.writeChart(
                to: URL(fileURLWithPath: chart), set: set.name, model: loaded.folder.lastPathComponent, score: method)
        }
        let curve =
            reliability
            ?? stored.map {
                ($0 as NSString).deletingPathExtension + "-reliability-\(set.name)-\(score).png"
            }
        if let curve {
            try evaluation.writeReliabilityChart(
                to: URL(fileURLWithPath: curve), set: set.name, model: loaded.folder.lastPathComponent, score: method)
        }
        for failure in evaluation.failures { Console.error(failure.message) }
        try show(evaluation, set: set, chart: chart, reliability: curve)
        if let first = set.others.first {
            Console.error(
                "left out: \(set.others.count) files that are no patches (PNG, JPEG, TIFF), such as \(first)",
                prefix: "")
        }
        if !evaluation.failures.isEmpty || !set.others.isEmpty { throw ExitCode(3) }
    }

    private struct Report: Encodable {
        let patchSet: String
        let score: String
        let auc: AreaUnderCurve
        let darkness: AreaUnderCurve
        let reliability: Reliability
        let failed: [String]
    }

    private func show(_ evaluation: PatchEvaluation, set: PatchSet, chart: String?, reliability: String?) throws {
        if json {
            try Console.json(
                Report(
                    patchSet: set.name, score: score, auc: evaluation.auc, darkness: evaluation.darkness,
                    reliability: evaluation.reliability, failed: evaluation.failures.map(\.name)))
            return
        }
        func row(_ name: String, _ auc: AreaUnderCurve) -> String {
            String(format: "%@ AUC %.3f (95 %% interval %.3f–%.3f)", name, auc.value, auc.lower, auc.upper)
        }
        func labels(_ areLymphocytes: Bool) -> String {
            let found = set.labels.filter { $0.isLymphocyte == areLymphocytes }
            return found.prefix(6).map { "'\($0.label)'" }.joined(separator: ", ") + (found.count > 6 ? ", …" : "")
        }
        print(
            "\(set.name): \(evaluation.auc.positives) lymphocytes (\(labels(true))), \(evaluation.auc.negatives) others (\(labels(false)))"
        )
        print(row("model, \(score.padding(toLength: 8, withPad: " ", startingAt: 0))", evaluation.auc))
        print(row("darkness alone ", evaluation.darkness))
        print(String(format: "calibration error %.3f", evaluation.reliability.expectedCalibrationError))
        if let chart { print("ROC curve: \(chart)") }
        if let reliability { print("reliability curve: \(reliability)") }
    }
}
