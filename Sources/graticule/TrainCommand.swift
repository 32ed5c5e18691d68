import ArgumentParser
import BatchWork
import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Raster
import ResultStore
import Terminal
import Torch

struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a network from slides with counted squares, heatmaps, or both.",
        discussion: """
            Writes a model folder: weights.safetensors, model.json, metrics.csv, previews/ and a checkpoint. An interrupted \
            run goes on with --resume, to the same weights bit for bit on CPU.
            """)

    @Option(help: "Folder of slides.") var slides: String
    @Option(help: "Folder of TIL heatmaps, in any of the formats that 'graticule import-heatmap --help' lists.")
    var heatmaps: String?
    @Option(
        help:
            "Counted squares: the results file of 'serve', or a table slide,x,y,lymphocytes[,side_um,reader] ('graticule squares')."
    )
    var counts: String?
    @Option(help: "Area of a lymphocyte's nucleus in µm², to turn counts into shares of a square.")
    var cellArea: Double?
    @Option(help: "Model folder to write.") var output: String
    @Option(help: "Priors from 'graticule priors'; without, a default curve from 0 to 40 %.") var priors: String?
    @Option(help: "fast (CPU, minutes) or paper (Appendix A, for a GPU).") var preset = "fast"
    @Option(help: "Use only these slides, by name, separated by commas.") var only: String?
    @Option(help: "Leave these slides out.") var exclude: String?
    @Option(help: "Steps to train; the preset's number if not given.") var steps: Int?
    @Option(help: "Seed of everything random.") var seed: UInt64 = 1
    @Flag(help: "Go on from the folder's checkpoint, if there is one.") var resume = false
    @Option(help: "cpu, cuda or cuda:N.") var device = "cpu"
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?
    @Option(
        help: "What the network is made to agree with: \(Objective.names.joined(separator: ", ")) (docs/method.md).")
    var criterion = "sr"
    @Option(help: "Folder of fine masks at level 0, <slide>.png or <slide>.tif, for hr and hr+sr.") var masks: String?
    @Option(help: "Results file with cells that readers marked as wrong or missing in 'serve', for hr+sr.") var marks:
        String?
    @Option(help: "Share of regions whose fine labels are used (0 … 1).") var fineFraction: Double?
    @Option(help: "λ_sr, the weight of the coarse part; the criterion's own if not given.") var coarseWeight: Double?
    @Option(
        help: "λ_hr, the weight of the fine labels, or of what earlier networks find; the criterion's own if not given."
    ) var fineWeight: Double?
    @Option(help: "Half-width of the interval criterion; ρ if not given.") var intervalRadius: Double?
    @Option(help: "Weight of the logarithm in the loss (0 … 1).") var logWeight: Double?
    @Option(help: "Steps over which that weight is reached.") var logRamp: Int?
    @Option(help: "ε of the loss.") var epsilon: Double?
    @Option(help: "σ² is multiplied by this in the denominator: pixels of one nucleus go together.") var clusterPixels:
        Double?
    @Flag(help: "Do not tell the network that learns from the others what the nuclei's roundness tells.")
    var noRoundness = false
    @Flag(help: "Let the network that learns from the others see blurred, noisy images while they see clean ones.")
    var studentNoise = false
    @Flag(help: "Train a network without the fixed term for darkness.") var noDarknessPrior = false
    @Flag(help: "Leave the probabilities as they are instead of fitting a temperature to held-out coarse labels.")
    var noTemperature = false
    @Option(help: "Share of pixels labelled by colour (0 … 1).") var colorLabels: Double?
    @Option(
        help:
            "Colour labels all pixels of a region but the darkest this multiple of its expected share; 0 for --color-labels everywhere."
    )
    var colorDarkest: Double?
    @Option(
        help:
            "Stain augmentation, ± this share (0 … 1); with --student-noise the last network has its own."
    )
    var stainJitter: Double?
    @Option(help: "Networks to train; another one learns what they find, or with --no-self-training they are averaged.")
    var members: Int?
    @Flag(help: "Keep the networks themselves, averaged, instead of the one that learns from them.")
    var noSelfTraining = false
    @Option(help: "U-Net widths by level, separated by commas.") var widths: String?

    func validate() throws {
        guard heatmaps != nil || counts != nil else {
            throw ValidationError("Give --counts, --heatmaps or both: there must be labels to learn from.")
        }
        guard counts != nil || cellArea == nil else {
            throw ValidationError("--cell-area is for --counts; priors have areas of their own.")
        }
        guard (5...500).contains(cellArea ?? 50) else {
            throw ValidationError("--cell-area must be between 5 and 500 µm².")
        }
        guard TrainingPreset(rawValue: preset) != nil else {
            throw ValidationError("--preset must be fast or paper, not '\(preset)'.")
        }
        guard (steps ?? 1) > 0 else { throw ValidationError("--steps must be at least 1.") }
        for (name, value) in [
            ("log-weight", logWeight), ("color-labels", colorLabels), ("stain-jitter", stainJitter),
            ("fine-fraction", fineFraction),
            ("interval-radius", intervalRadius),
        ] {
            guard value.map({ (0...1).contains($0) }) ?? true else {
                throw ValidationError("--\(name) must be between 0 and 1.")
            }
        }
        guard (1...64).contains(members ?? 1) else { throw ValidationError("--members must be between 1 and 64.") }
        guard Objective.names.contains(criterion) else {
            throw ValidationError("--criterion must be one of \(Objective.names.joined(separator: ", ")).")
        }
        // An option that would do nothing was meant for something else.
        guard intervalRadius == nil || criterion == "interval" else {
            throw ValidationError("--interval-radius is for --criterion interval.")
        }
        guard ["hr", "hr+sr"].contains(criterion) || (masks == nil && fineFraction == nil) else {
            throw ValidationError("--masks and --fine-fraction are for --criterion hr and hr+sr.")
        }
        guard criterion == "hr+sr" || marks == nil else { throw ValidationError("--marks is for --criterion hr+sr.") }
        guard marks == nil || masks == nil else { throw ValidationError("Give --marks or --masks, not both.") }
        guard (colorDarkest ?? 0) >= 0 else { throw ValidationError("--color-darkest must not be negative.") }
        guard fineFraction != 0 else { throw ValidationError("--fine-fraction must be above 0.") }
        guard (coarseWeight ?? 0) >= 0, (fineWeight ?? 0) >= 0, (clusterPixels ?? 1) >= 1, (logRamp ?? 0) >= 0 else {
            throw ValidationError("Weights and --log-ramp must not be negative, --cluster-pixels not below 1.")
        }
        guard (epsilon ?? 1) > 0 else { throw ValidationError("--epsilon must be above 0.") }
        if let widths {
            guard !widths.split(separator: ",").isEmpty, widths.split(separator: ",").allSatisfy({ (Int($0) ?? 0) > 0 })
            else { throw ValidationError("--widths must be numbers separated by commas, such as 16,32.") }
        }
    }

    private func settings() throws -> LymphocyteSettings {
        var settings = (TrainingPreset(rawValue: preset) ?? .fast).lymphocytes(seed: seed)
        var training = settings.training
        var matching = training.objective.criterion?.matching ?? StatisticsMatching()
        if let logWeight { matching.logWeight = logWeight }
        if let epsilon { matching.epsilon = epsilon }
        if let clusterPixels { matching.clusterPixels = clusterPixels }
        training.objective = try Objective(
            named: criterion, matching: matching, radius: intervalRadius, coarseWeight: coarseWeight,
            fineWeight: fineWeight)
        // A student learns by statistics matching too: it is for that criterion alone.
        if noSelfTraining || criterion != "sr" { training.student = nil }
        if noRoundness || studentNoise {
            guard training.student != nil else {
                throw ValidationError(
                    "--no-roundness and --student-noise are about the network that learns from others; here there is none."
                )
            }
        }
        if let fineWeight, fineWeight > 0 { training.student?.weight = fineWeight }
        if noRoundness { training.student?.evidenceWeight = 0 }
        if studentNoise { settings.sampling.studentNoise = .otherScanner }
        if noDarknessPrior { training.architecture.prior = nil }
        if let logRamp { training.logarithmRamp = logRamp }
        if let members { training.members = members }
        if let widths { training.architecture.widths = widths.split(separator: ",").compactMap { Int($0) } }
        if let fineFraction { settings.sampling.fineFraction = fineFraction }
        if let colorLabels { settings.sampling.colorLabelFraction = colorLabels }
        if let colorDarkest { settings.sampling.colorDarkestMultiple = colorDarkest }
        if let stainJitter { settings.sampling.stainJitter = stainJitter }
        settings.training = training
        try check(training)
        return settings
    }

    /// An option that would do nothing was meant for something else.
    private func check(_ training: TrainingConfiguration) throws {
        let isMatching = training.objective.criterion?.matching != nil
        guard isMatching || (logWeight == nil && clusterPixels == nil && logRamp == nil) else {
            throw ValidationError(
                "--log-weight, --log-ramp and --cluster-pixels are for statistics matching, which is no part of \(criterion)."
            )
        }
        guard isMatching || criterion == "kl" || epsilon == nil else {
            throw ValidationError("--epsilon is for statistics matching and kl, not for \(criterion).")
        }
        guard training.architecture.isPossible else {
            throw ValidationError("--widths must be 1 to 8 numbers between 1 and 1024.")
        }
    }

    func run() throws {
        func names(_ list: String?) -> Set<String> { Set((list ?? "").split(separator: ",").map(String.init)) }
        var training = LymphocyteTraining(
            slides: URL(fileURLWithPath: slides), heatmaps: heatmaps.map { URL(fileURLWithPath: $0) },
            output: URL(fileURLWithPath: output), settings: try settings())
        if let counts {
            training.squares = try SquareTable.read(URL(fileURLWithPath: counts)) {
                Console.note(
                    "\($0) row\($0 == 1 ? "" : "s") of \(counts) without a count \($0 == 1 ? "is" : "are") left out")
            }
            if let cellArea { training.counting.cellArea = cellArea }
            training.counting.learnReaderError(from: SquareReadings.grouped(training.squares))
        }
        training.only = names(only)
        training.exclude = names(exclude)
        training.masks = masks.map { URL(fileURLWithPath: $0) }
        if let marks {
            guard ResultStore.isDatabase(URL(fileURLWithPath: marks)) else {
                throw InputError(
                    .unusable, "\(marks) is no results file: marks are made on the slide's page of 'serve'")
            }
            training.marks = try ResultStore(readOnly: URL(fileURLWithPath: marks)).annotations()
                .filter { $0.kind != .region }
            guard !training.marks.isEmpty else {
                throw InputError(.unusable, "no cell has been marked in \(marks) yet")
            }
            Console.note("\(training.marks.count) marked cells")
        }
        training.fitsTemperature = !noTemperature
        training.givenScale = mpp
        training.device = try Device(device)
        training.logger = Console.logger
        training.priors = try priors.map { try LabelPriors(contentsOf: URL(fileURLWithPath: $0)) }
        // A model folder's files have names of their own; only these could be inputs.
        let folder = ModelFolder(training.output)
        for file in [folder.weights, folder.description, folder.metrics, folder.checkpoint] {
            try OutputGuard.check(
                file,
                inputs: [slides, heatmaps, counts, masks, marks, priors].compactMap { $0 }.map {
                    URL(fileURLWithPath: $0)
                })
        }
        let steps = steps ?? training.settings.training.steps
        let noun = heatmaps == nil ? "squares" : counts == nil ? "regions" : "regions and squares"
        let line = ProgressLine()
        let outcome = try training.run(steps: steps, resume: resume) { event in
            switch event {
            case .leftOut(let failure): Console.error("left out: \(failure.message)")
            case .ready(let slides, let regions, let priors):
                for slide in slides {
                    Console.note(
                        "\(slide.name): \(slide.regions) \(noun) to train on, \(slide.validationRegions) held out")
                }
                Console.note(
                    "\(noun) per class: \(regions.map(String.init).joined(separator: " ")); priors from \(priors.origin)"
                )
            case .progress(let progress, let member, let members):
                show(progress, member: member, members: members, on: line)
            }
        }
        line.end()
        if let validation = outcome.model.validation {
            print(
                String(
                    format: "trained %d steps; on held-out regions: correlation %.3f, mean |μ − η| %.3f",
                    outcome.model.steps,
                    validation.correlation, validation.absoluteError))
        } else {
            print("trained \(outcome.model.steps) steps; too few regions to hold any out for validation")
        }
        if let area = outcome.cellArea {
            print(
                String(
                    format:
                        "cells in the counted squares measure %.1f µm² on average; counts were taken for %.1f µm² each",
                    area, training.counting.cellArea))
        }
        print("model: \(output)")
        for warning in outcome.warnings { Console.error(warning, prefix: "warning: ") }
        if !outcome.failures.isEmpty || !outcome.warnings.isEmpty { throw ExitCode(3) }
    }

    private func show(_ progress: Trainer.Progress, member: Int, members: Int, on line: ProgressLine) {
        let left = progress.secondsLeft + progress.secondsPerStep * Double(progress.steps * (members - member))
        let prefix = members > 1 ? "network \(member)/\(members)  " : ""
        var text =
            prefix
            + String(
                format: "step %d/%d  loss %.3f  %.2f s/step  %@ left", progress.step, progress.steps, progress.loss,
                progress.secondsPerStep, Console.duration(left))
        if let validation = progress.validation {
            text += String(
                format: "  held out: correlation %.3f, mismatch %.2f", validation.correlation, validation.mismatch)
        }
        line.show(text, force: progress.validation != nil)
        if progress.validation != nil { line.end() }
    }
}
