import ArgumentParser
import BatchWork
import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Raster
import Synchronization
import Terminal
import Torch
import WholeSlide

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Divide slides over the tasks of a cluster.",
        discussion: """
            Looks at every slide, estimates what it costs by its tissue and its format, and divides the slides so that all tasks take \
            about the same time. The plan pins the model and the engine, so that every node gives the same cells.

            graticule plan → segment --plan PLAN --task I → status PLAN → merge (docs/clusters.md)
            """)

    @Argument(help: "Slide files, or folders of slides.") var slides: [String]
    @Option(help: "Model folder from 'graticule train', where all nodes see it.") var model: String
    @Option(help: "Number of tasks.") var tasks: Int
    @Option(help: "Plan to write (JSON), where all nodes see it.") var output: String
    @Option(help: "Folder for the tasks' results; beside the plan if not given.") var results: String?
    @Option(help: "auto, fp32, int8 or libtorch; auto chooses here, once for all nodes.") var precision = "auto"
    @Option(help: "Pixels with at least this probability are lymphocyte; the model's own if not given.")
    var threshold: Double?
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?
    @Option(help: "Folder of heatmaps to compare each region with.") var heatmaps: String?
    @Option(help: "Where the tissue is: auto, none, a PNG, a GeoJSON, or a folder of them by slide name.") var tissue =
        "auto"

    func validate() throws {
        guard !slides.isEmpty else { throw ValidationError("Give at least one slide or folder.") }
        guard (1...100_000).contains(tasks) else { throw ValidationError("--tasks must be between 1 and 100000.") }
        guard InferenceEngine(named: precision) != nil else {
            throw ValidationError("--precision must be auto, fp32, int8 or libtorch.")
        }
        guard threshold.map({ $0 > 0 && $0 < 1 }) ?? true else {
            throw ValidationError("--threshold must be between 0 and 1.")
        }
    }

    func run() throws {
        guard let engine = InferenceEngine(named: precision) else { return }
        let contents = SlideFolder.contents(of: slides.map { URL(fileURLWithPath: $0) })
        if contents.slides.isEmpty, let first = contents.failures.first { throw first }
        let target = URL(fileURLWithPath: output)
        try OutputGuard.check(target, inputs: contents.slides.map(\.url) + [URL(fileURLWithPath: model)])
        let loaded = try SegmentationModel(URL(fileURLWithPath: model), engine: engine)
        let source = TissueSource(tissue)
        let line = Mutex(ProgressLine())
        let start = Date()
        let survey = try SlideSurvey(
            contents, givenScale: mpp, tissue: source, micronsPerPixel: loaded.micronsPerPixel,
            workers: TorchRuntime.availableProcessors()
        ) { done, total in
            let left = Date().timeIntervalSince(start) / Double(done) * Double(total - done)
            line.withLock {
                $0.show("slide \(done)/\(total)  \(Console.duration(left)) left", force: done == total)
            }
        }
        line.withLock { $0.end() }
        let (planned, unusable) = (survey.planned, survey.unusable)
        guard !planned.isEmpty else {
            throw InputError(.unusable, "no slide can be used: \(unusable.first?.reason ?? "there is none")")
        }
        let folder =
            results.map { URL(fileURLWithPath: $0) }
            ?? target.deletingPathExtension().appendingPathExtension("shards")
        let plan = SegmentationPlan(
            slides: planned, unusable: unusable, model: URL(fileURLWithPath: model).absoluteURL,
            fingerprint: loaded.fingerprint,
            options: SegmentationPlan.Options(
                precision: loaded.network.engineName.replacing("onednn-", with: ""), threshold: threshold,
                micronsPerPixel: mpp, heatmaps: heatmaps.map { URL(fileURLWithPath: $0).path },
                tissue: source == .automatic || tissue == "none" ? tissue : URL(fileURLWithPath: tissue).path),
            results: folder.absoluteURL, tasks: tasks)
        try plan.write(to: target)
        PlanCommand.describe(plan, at: output)
        guard unusable.isEmpty else {
            print("not in the plan:")
            for slide in unusable { print("  \(slide.reason)") }
            throw ExitCode(3)
        }
    }

    static func describe(_ plan: SegmentationPlan, at path: String) {
        print(
            String(
                format: "%@: %d slides, %.1f mm² of tissue, in %d task%@ with %@", path, plan.slides.count,
                plan.tissueSquareMillimeters, plan.tasks.count, plan.tasks.count == 1 ? "" : "s", plan.options.precision
            ))
        print(
            "the longest takes about \(Console.duration(plan.longestTask / 2)) on two cores; all results about \(Console.size(plan.bytes))"
        )
        print("next: graticule segment --plan \(path) --task 1 … \(plan.tasks.count), then graticule status \(path)")
    }
}

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show how far the tasks of a plan are.",
        discussion: "The exit status is 0 where all slides are done, 3 where some failed, 4 where some are left.")

    @Argument(help: "Plan from 'graticule plan'.") var plan: String
    @Flag(help: "Print JSON.") var json = false
    @Option(help: "Write a plan of what is left, what failed included.") var retry: String?
    @Option(help: "With --retry: number of tasks; as many as have something left if not given.") var tasks: Int?

    func validate() throws {
        guard tasks == nil || retry != nil else { throw ValidationError("--tasks goes with --retry.") }
        guard tasks.map({ (1...100_000).contains($0) }) ?? true else {
            throw ValidationError("--tasks must be between 1 and 100000.")
        }
    }

    func run() throws {
        let own = try SegmentationPlan(contentsOf: URL(fileURLWithPath: plan))
        let status = PlanStatus(of: own)
        if json {
            try Console.json(status)
        } else {
            show(status, of: own)
        }
        if let retry {
            if let rest = own.remaining(status, tasks: tasks) {
                try OutputGuard.check(URL(fileURLWithPath: retry), inputs: [URL(fileURLWithPath: plan)])
                try rest.write(to: URL(fileURLWithPath: retry))
                PlanCommand.describe(rest, at: retry)
            } else {
                print("nothing is left that no running task has: no plan is written")
            }
        }
        if !status.left.isEmpty { throw ExitCode(4) }
        if !status.failures.isEmpty { throw ExitCode(3) }
    }

    private func show(_ status: PlanStatus, of plan: SegmentationPlan) {
        let slides = plan.slides.count
        print("task  state       slides      mm²              mm²/s  left     node")
        for task in status.tasks {
            let line = [
                String(task.number).padded(6), task.state.rawValue.padded(12),
                "\(task.done)/\(task.slides)\(task.failed > 0 ? " −\(task.failed)" : "")".padded(12),
                String(format: "%.1f/%.1f", task.squareMillimetersDone, task.squareMillimeters).padded(17),
                (task.rate.map { String(format: "%.2f", $0) } ?? "–").padded(7),
                (task.secondsLeft.map(Console.duration) ?? "–").padded(9),
                [task.host, task.job.map { "job \($0)" }].compactMap { $0 }.joined(separator: ", "),
            ].joined()
            print(line.trimmingCharacters(in: .whitespaces))
        }
        let done = slides - status.left.count - status.failures.count
        print(
            "\(slides) slides: \(done) done, \(status.failures.count) failed, \(status.left.count) left"
                + (status.rate > 0 ? String(format: "; %.2f mm²/s", status.rate) : "")
                + (status.secondsLeft.map { status.rate > 0 ? ", \(Console.duration($0)) left" : "" } ?? ""))
        if !status.failures.isEmpty {
            print("failed:")
            for failure in status.failures { print("  task \(failure.task): \(failure.path): \(failure.reason)") }
        }
        if !status.damaged.isEmpty {
            print("damaged, their slides are left: \(status.damaged.joined(separator: ", "))")
        }
        if !plan.unusable.isEmpty {
            print("not in the plan:")
            for slide in plan.unusable { print("  \(slide.reason)") }
        }
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String {
        padding(toLength: max(width, count + 1), withPad: " ", startingAt: 0)
    }
}
