import ArgumentParser
import BatchWork
import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Raster
import ResultStore
import Synchronization
import Terminal
import TiledPrediction
import Torch
import WholeSlide

struct SegmentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "segment", abstract: "Outline every lymphocyte of slides into one SQLite file.",
        discussion: """
            A run that was interrupted goes on where it stopped when the same command is given again; finished slides are left \
            alone. A slide that cannot be used is named at the end, and the exit status is 3. Ctrl-C and SIGTERM end the tile rows \
            in work and stop; a second one stops at once, and costs no more than those rows.

            On a cluster: --plan PLAN --task I instead of slides, model and results (docs/clusters.md).
            """)

    @Argument(help: "Slide files, or folders of slides.") var slides: [String] = []
    @Option(help: "Model folder from 'graticule train'.") var model: String?
    @Option(help: "SQLite file for the results; made, or added to.") var results: String?
    @Option(help: "Plan from 'graticule plan', which says slides, model, engine and results.") var plan: String?
    @Option(help: "Task of the plan, from 1. In a Slurm array: $SLURM_ARRAY_TASK_ID.") var task: Int?
    @Option(help: "With --plan: folder on a disk of this node; $TMPDIR or /tmp if not given.") var scratch: String?
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?
    @Option(help: "Pixels with at least this probability are lymphocyte; the model's own if not given.")
    var threshold: Double?
    @Option(help: "Slides to work on at once.") var workers = 1
    @Option(help: "Folder of heatmaps to compare each region with.") var heatmaps: String?
    @Option(help: "cpu, cuda or cuda:N.") var device = "cpu"
    @Option(help: "auto, fp32, int8, or libtorch: the engine that trained the network, as reference.")
    var precision: String?
    @Option(help: "Where the tissue is: auto, none (everywhere), a PNG, a GeoJSON, or a folder of them by slide name.")
    var tissue: String?
    @Option(help: "Threads for all slides together; the CPUs that the process may use if not given.") var threads: Int?
    @Option(
        help: "i/n: only every n-th slide, from the i-th on (1 ≤ i ≤ n). In a Slurm array: $SLURM_ARRAY_TASK_ID/N.")
    var shard: String?
    @Flag(help: "Print the seconds that each stage took; table run has them in any case.") var profile = false
    @Option(help: "Side of a tile in working pixels, a multiple of 64.") var tile: Int?
    @Option(help: "Least area of a cell in µm².") var leastArea: Double?
    @Option(help: "How deep the pass between touching cells must be to cut them apart, µm.") var splitDepth: Double?

    func validate() throws {
        if plan == nil {
            guard !slides.isEmpty else { throw ValidationError("Give at least one slide or folder.") }
            guard model != nil, results != nil else { throw ValidationError("Give --model and --results.") }
            guard task == nil, scratch == nil else { throw ValidationError("--task and --scratch go with --plan.") }
        } else {
            guard task != nil else { throw ValidationError("Give --task, the task of the plan.") }
            guard slides.isEmpty, model == nil, results == nil, shard == nil, mpp == nil, threshold == nil,
                heatmaps == nil, precision == nil, tissue == nil, tile == nil, leastArea == nil, splitDepth == nil
            else {
                throw ValidationError(
                    "The plan says what decides the cells: leave out slides, model, results, --mpp, --threshold, --heatmaps, --precision, --tissue, --tile, --least-area and --split-depth."
                )
            }
        }
        guard threshold.map({ $0 > 0 && $0 < 1 }) ?? true else {
            throw ValidationError("--threshold must be between 0 and 1.")
        }
        guard (1...256).contains(workers) else { throw ValidationError("--workers must be between 1 and 256.") }
        guard tile.map({ (64...8192).contains($0) && $0 % 64 == 0 }) ?? true else {
            throw ValidationError("--tile must be a multiple of 64 between 64 and 8192.")
        }
        guard InferenceEngine(named: precision ?? "auto") != nil else {
            throw ValidationError("--precision must be auto, fp32, int8 or libtorch.")
        }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads must be between 1 and 1024.")
        }
        if let shard, Shard(shard) == nil { throw ValidationError("--shard must be i/n with 1 ≤ i ≤ n.") }
        guard (leastArea ?? 0) >= 0, (splitDepth ?? 0) >= 0 else {
            throw ValidationError("--least-area and --split-depth must not be negative.")
        }
    }

    /// What is segmented, with what, into which file.
    private struct Work {
        var files: [SlideFile]
        var missing: [FailedInput]
        var model: String
        var results: String
        var options: SegmentationPlan.Options
        /// nil without a plan.
        var task: PlannedTask?
    }

    private func work() throws -> Work {
        guard let plan, let task else {
            let contents = SlideFolder.contents(of: slides.map { URL(fileURLWithPath: $0) })
            let (all, missing) = (contents.slides, contents.failures)
            if contents.nestedFolders > 0 {
                Console.note(
                    "\(all.count) slides, some of them in \(contents.nestedFolders) folders within the given ones")
            }
            if all.isEmpty, let first = missing.first { throw first }
            let part = shard.flatMap { Shard($0) }
            if part == nil { try Shard.refuseGuessing(inputs: all.count, noun: "slides") }
            let files = part?.part(of: all) ?? all
            if let part {
                Console.note("part \(part.number) of \(part.count): \(files.count) of \(all.count) slides")
            }
            return Work(
                files: files, missing: missing.map { FailedInput(name: "(path)", error: $0) }, model: model ?? "",
                results: results ?? "",
                options: SegmentationPlan.Options(
                    precision: precision ?? "auto", threshold: threshold, micronsPerPixel: mpp, heatmaps: heatmaps,
                    tissue: tissue ?? "auto"))
        }
        let own = try SegmentationPlan(contentsOf: URL(fileURLWithPath: plan))
        let folder = scratch ?? ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let planned = try PlannedTask(own, number: task, scratch: URL(fileURLWithPath: folder))
        try planned.begin()
        Console.note(
            "task \(task) of \(own.tasks.count): \(planned.slides.count) slides, results in \(planned.shard.path)")
        return Work(
            files: planned.slides.map(\.file), missing: [], model: own.model, results: planned.working.path,
            options: own.options, task: planned)
    }

    func run() throws {
        let work = try work()
        let (files, results) = (work.files, URL(fileURLWithPath: work.results))
        guard let engine = InferenceEngine(named: work.options.precision) else {
            throw InputError(.unusable, "there is no precision '\(work.options.precision)'")
        }
        let loaded = try SegmentationModel(
            URL(fileURLWithPath: work.model), device: try Device(device), engine: engine)
        if let plan = work.task?.plan, plan.modelFingerprint != loaded.fingerprint {
            throw InputError(
                .unusable,
                "the model \(plan.model) is not the one of the plan: it was trained anew; make the plan again")
        }
        let multiple = loaded.network.gridMultiple
        guard (tile ?? multiple) % multiple == 0 else {
            throw ValidationError("--tile must be a multiple of this model's \(multiple).")
        }
        let tissue = work.options.tissue
        let inputs =
            files.map(\.url)
            + [
                work.model, work.options.heatmaps,
                TissueSource(tissue) == .automatic || tissue == "none" ? nil : tissue,
            ].compactMap { $0 }.map { URL(fileURLWithPath: $0) }
        try OutputGuard.check(results, inputs: inputs, isResults: true)
        var segmenter = try segmenter(with: loaded, work)
        let workers = max(1, min(workers, files.count))
        segmenter.threads = max(1, (threads ?? TorchRuntime.availableProcessors()) / workers)
        // Tiles are computed side by side, so each operation of libtorch keeps to its thread.
        TorchRuntime.threads = 1
        let signals = StopSignals(segmenter.stop)
        defer { signals.end() }
        let printer = Mutex(SegmentPrinter(slides: files.count, showsProfile: profile))
        let start = Date()
        let report = work.task.map { PlannedTaskReport($0, store: segmenter.store, logger: Console.logger) }
        report?.begin()
        let outcome: [BatchSegmentation.Result]
        do {
            outcome = try BatchSegmentation(segmenter: segmenter, workers: workers).run(
                files,
                progress: { progress in
                    printer.withLock { $0.show(progress) }
                    report?.tick()
                },
                finished: { result in
                    printer.withLock { $0.finish(result) }
                    report?.finish(result)
                })
        } catch {
            report?.giveUp()
            throw error
        }
        try report?.end()
        var failures = work.missing
        failures += outcome.compactMap { result -> FailedInput? in
            if case .failed(let failure) = result { return failure }
            return nil
        }
        let done = outcome.count { if case .done(let slide) = $0 { !slide.wasStopped } else { false } }
        print(
            "\(done) of \(files.count) slides done in \(Console.duration(Date().timeIntervalSince(start))): \(work.task?.shard.path ?? work.results)"
        )
        if segmenter.stop.isStopping {
            Console.note("stopped at the end of a tile row: give the same command again to go on from there")
        }
        if !failures.isEmpty {
            print("failed:")
            for failure in failures { print("  \(failure.name): \(failure.message)") }
            throw ExitCode(3)
        }
        if let signal = signals.received { throw ExitCode(128 + signal) }
    }

    private func segmenter(with loaded: SegmentationModel, _ work: Work) throws -> SlideSegmenter {
        let store = try ResultStore(URL(fileURLWithPath: work.results))
        var settings = SegmentationSettings()
        settings.threshold = work.options.threshold ?? loaded.threshold
        settings.tileSide = tile ?? settings.tileSide
        settings.leastArea = leastArea ?? settings.leastArea
        settings.splitDepth = splitDepth ?? settings.splitDepth
        settings.tissue = TissueSource(work.options.tissue)
        var segmenter = SlideSegmenter(model: loaded, store: store, settings: settings)
        segmenter.logger = Console.logger
        segmenter.givenScale = work.options.micronsPerPixel
        segmenter.heatmaps = work.options.heatmaps.map { URL(fileURLWithPath: $0) }
        return segmenter
    }
}

/// Prints how a batch goes.
private struct SegmentPrinter {
    private let line = ProgressLine()
    private let slides: Int
    private let showsProfile: Bool
    private var finished = 0

    init(slides: Int, showsProfile: Bool) {
        self.slides = slides
        self.showsProfile = showsProfile
    }

    func show(_ progress: SlideSegmenter.Progress) {
        line.show(
            String(
                format: "%@ (slide %d/%d)  tile %d/%d  %d cells  %.1f tiles/s  %@ left", progress.slide,
                min(finished + 1, slides), slides, progress.tilesDone, progress.tiles, progress.cells,
                progress.tilesPerSecond, Console.duration(progress.secondsLeft)))
    }

    mutating func finish(_ result: BatchSegmentation.Result) {
        finished += 1
        line.end()
        switch result {
        case .done(let outcome):
            print(
                String(
                    format: "%@: %d lymphocytes on %.2f mm² of tissue, %.0f per mm²%@", outcome.slide, outcome.cells,
                    outcome.tissueSquareMillimeters, outcome.cellsPerSquareMillimeter ?? 0,
                    outcome.wasDone ? " (was done already)" : outcome.wasStopped ? " so far" : ""))
            if showsProfile, !outcome.wasDone {
                let stages = outcome.profile.sorted { $0.value > $1.value }
                    .map { String(format: "%@ %.1f", $0.key, $0.value) }
                print("  seconds by stage, over all threads: " + stages.joined(separator: ", "))
            }
            if outcome.flaggedSquares > 0 {
                Console.error(
                    "\(outcome.slide): \(outcome.flaggedSquares) squares of 512 working px with pen, folds or blur do not count for densities (table "
                        + "quality, column flag)", prefix: "note: ")
            }
            if outcome.unreadableTiles > 0 {
                Console.error(
                    "\(outcome.slide): \(outcome.unreadableTiles) tiles could not be read (see table tile)",
                    prefix: "warning: ")
            }
            if let warning = outcome.warning { Console.error("\(outcome.slide): \(warning)", prefix: "warning: ") }
        case .failed(let failure): Console.error(failure.message)
        }
    }
}
