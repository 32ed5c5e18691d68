import ArgumentParser
import BatchWork
import Failures
import Foundation
import LabelSuperResolution
import LandCover
import Raster
import Terminal
import Torch

struct LandCoverTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a network from images and coarse maps.",
        discussion: "Writes a model folder. An interrupted run goes on with --resume, to the same weights.")

    @Option(help: "Image, or a folder of images.") var images: String
    @Option(help: "Coarse raster for all images, or a folder with one of each image's name.") var coarse: String
    @Option(help: "Priors from 'graticule landcover priors'.") var priors: String
    @Option(help: "Model folder to write.") var output: String
    @Option(help: "Rasters of true labels on the images' pixels, for hr and hr+sr.") var fine: String?
    @Option(help: "Share of coarse cells whose true labels are used (0 … 1).") var fineFraction: Double?
    @Option(help: "What the network is made to agree with: \(Objective.names.joined(separator: ", ")).") var criterion =
        "sr"
    @Option(help: "Use only these images, by name, separated by commas.") var only: String?
    @Option(help: "Leave these images out.") var exclude: String?
    @Option(help: "fast (CPU) or paper (Appendix A, for a GPU).") var preset = "fast"
    @Option(help: "Steps to train; the preset's number if not given.") var steps: Int?
    @Option(help: "Seed of everything random.") var seed: UInt64 = 1
    @Flag(help: "Go on from the folder's checkpoint, if there is one.") var resume = false
    @Option(help: "cpu, cuda or cuda:N.") var device = "cpu"
    @OptionGroup var tables: LandTables
    @Option(
        help:
            "Side of a coarse cell, in units of the CRS, where the coarse rasters have the images' pixels; 30 if not given."
    ) var cellSide: Double?
    @Option(help: "Side of a training image in pixels.") var side: Int?
    @Option(help: "Networks to train; their probabilities are averaged.") var members: Int?
    @Option(help: "U-Net widths by level, separated by commas.") var widths: String?
    @Option(help: "1 for full resolution, 2 for squares of 2×2 pixels folded into channels.") var stride: Int?
    @Option(help: "3×3 convolutions at each level.") var convolutions: Int?
    @Option(help: "Power of a class's frequency with which it is drawn: 0 all classes alike, 1 all cells alike.")
    var frequencyExponent: Double?
    @Flag(help: "Let every cell weigh the same in the loss, instead of every class.") var noClassBalance = false
    @Option(help: "Light and contrast vary by ± this share.") var jitter: Double?
    @Option(help: "Weight of the logarithm in the loss (0 … 1).") var logWeight: Double?
    @Option(help: "Steps over which that weight is reached.") var logRamp: Int?
    @Option(help: "ε of the loss.") var epsilon: Double?
    @Option(help: "A smaller ρ counts as this in the loss: some cells bear a wrong class (0 … 1).")
    var leastDeviation: Double?
    @Option(help: "σ² is multiplied by this in the denominator: pixels of one object go together.") var clusterPixels:
        Double?
    @Option(help: "λ_sr, the weight of the coarse part; the criterion's own if not given.") var coarseWeight: Double?
    @Option(help: "λ_hr, the weight of true labels; the criterion's own if not given.") var fineWeight: Double?
    @Option(help: "Half-width of the interval criterion; ρ if not given.") var intervalRadius: Double?

    func validate() throws {
        guard TrainingPreset(rawValue: preset) != nil else {
            throw ValidationError("--preset must be fast or paper, not '\(preset)'.")
        }
        guard Objective.names.contains(criterion) else {
            throw ValidationError("--criterion must be one of \(Objective.names.joined(separator: ", ")).")
        }
        guard ["hr", "hr+sr"].contains(criterion) || (fine == nil && fineFraction == nil) else {
            throw ValidationError("--fine and --fine-fraction are for --criterion hr and hr+sr.")
        }
        for (name, value) in [
            ("fine-fraction", fineFraction), ("log-weight", logWeight), ("least-deviation", leastDeviation),
            ("frequency-exponent", frequencyExponent),
            ("jitter", jitter), ("interval-radius", intervalRadius),
        ] {
            guard value.map({ (0...1).contains($0) }) ?? true else {
                throw ValidationError("--\(name) must be between 0 and 1.")
            }
        }
        guard (steps ?? 1) > 0, (1...64).contains(members ?? 1), (cellSide ?? 1) > 0, (epsilon ?? 1) > 0,
            [cellSide, epsilon, coarseWeight, fineWeight, clusterPixels].allSatisfy({ $0?.isFinite ?? true })
        else {
            throw ValidationError("--steps, --members, --cell-side and --epsilon must be above 0.")
        }
        guard (32...1024).contains(side ?? 128) else { throw ValidationError("--side must be between 32 and 1024.") }
        guard (coarseWeight ?? 0) >= 0, (fineWeight ?? 0) >= 0, (clusterPixels ?? 1) >= 1, (logRamp ?? 0) >= 0 else {
            throw ValidationError("Weights and --log-ramp must not be negative, --cluster-pixels not below 1.")
        }
    }

    private func adjust(_ settings: inout LandCoverSettings) throws {
        var matching = settings.training.objective.criterion?.matching ?? StatisticsMatching()
        if let logWeight { matching.logWeight = logWeight }
        if let epsilon { matching.epsilon = epsilon }
        if let clusterPixels { matching.clusterPixels = clusterPixels }
        if let leastDeviation { matching.leastDeviation = leastDeviation }
        settings.training.objective = try Objective(
            named: criterion, matching: matching, radius: intervalRadius, coarseWeight: coarseWeight,
            fineWeight: fineWeight)
        if let members { settings.training.members = members }
        if let logRamp { settings.training.logarithmRamp = logRamp }
        if let widths {
            let numbers = widths.split(separator: ",").map { Int($0) }
            guard !numbers.isEmpty, numbers.allSatisfy({ $0 != nil }) else {
                throw ValidationError("--widths must be numbers separated by commas, such as 16,32.")
            }
            settings.training.architecture.widths = numbers.compactMap { $0 }
        }
        if let stride { settings.training.architecture.stride = stride }
        if let convolutions { settings.training.architecture.convolutionsPerLevel = convolutions }
        guard settings.training.architecture.isPossible else {
            throw ValidationError(
                "--widths must be 1 to 8 numbers between 1 and 1024, --stride 1 or 2, --convolutions 1 to 8.")
        }
        if let side { settings.sampling.side = side }
        if let frequencyExponent { settings.sampling.frequencyExponent = frequencyExponent }
        if noClassBalance { settings.sampling.balancesClasses = false }
        if let jitter { settings.sampling.jitter = jitter }
        if let fineFraction { settings.sampling.fineFraction = fineFraction }
    }

    func run() throws {
        func names(_ list: String?) -> Set<String> { Set((list ?? "").split(separator: ",").map(String.init)) }
        var training = LandCoverTraining(
            images: URL(fileURLWithPath: images), coarse: URL(fileURLWithPath: coarse),
            output: URL(fileURLWithPath: output), priors: try LabelPriors(contentsOf: URL(fileURLWithPath: priors)))
        training.fine = fine.map { URL(fileURLWithPath: $0) }
        training.coarseClasses = try LandClasses(named: tables.classes)
        training.labels = try LandClasses(labelsNamed: tables.labels)
        training.preset = TrainingPreset(rawValue: preset) ?? .fast
        training.seed = seed
        training.cellSide = cellSide
        training.only = names(only)
        training.exclude = names(exclude)
        training.device = try Device(device)
        training.adjust = adjust
        let folder = ModelFolder(training.output)
        for file in [folder.weights, folder.description, folder.metrics, folder.checkpoint] {
            try OutputGuard.check(
                file, inputs: [images, coarse, fine, priors].compactMap { $0 }.map { URL(fileURLWithPath: $0) })
        }
        let line = ProgressLine()
        let classNames = training.coarseClasses.names
        let outcome = try training.run(steps: steps, resume: resume) { event in
            switch event {
            case .leftOut(let failure): Console.error("left out: \(failure.message)")
            case .ready(let images, let cells):
                Console.note("\(images.count) image\(images.count == 1 ? "" : "s")")
                for (index, count) in cells.enumerated() where count > 0 {
                    Console.note("  \(classNames[index]): \(count) cells")
                }
            case .progress(let progress, let member, let members):
                line.show(
                    "network \(member)/\(members)  step \(progress.step)/\(progress.steps)  loss "
                        + String(format: "%.3f  %.2f s/step", progress.loss, progress.secondsPerStep)
                        + "  \(Console.duration(progress.secondsLeft)) left", force: progress.step == progress.steps)
            }
        }
        line.end()
        if let validation = outcome.model.validation {
            print(
                String(
                    format: "%@: validation correlation %.3f, |μ − η| %.3f", output, validation.correlation,
                    validation.absoluteError))
        }
        try reportFailures(outcome.failures)
    }
}
