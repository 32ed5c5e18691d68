internal import BatchWork
internal import CoarseTraining
public import Failures
public import Foundation
public import LabelSuperResolution
public import Logging
internal import Raster
public import ResultStore
public import Torch
internal import WholeSlide

/// Trains a lymphocyte model from a folder of slides with heatmaps, with counted squares, or with both.
public struct LymphocyteTraining: Sendable {
    public var slides: URL
    /// nil where counted squares are the only labels.
    public var heatmaps: URL?
    /// What readers counted; empty where heatmaps are the only labels.
    public var squares: [CountedSquare] = []
    /// What a count leads to expect.
    public var counting = CellCounting()
    public var output: URL
    /// Names of the slides to use; empty for all.
    public var only: Set<String> = []
    public var exclude: Set<String> = []
    public var settings: LymphocyteSettings
    public var priors: LabelPriors?
    /// Folder of fine masks, for the criteria that want them.
    public var masks: URL?
    /// What readers marked on cells, in place of masks.
    public var marks: [AnnotationRecord] = []
    /// Fits a temperature to the held-out regions' coarse labels, so that probabilities are nearer to frequencies.
    public var fitsTemperature = true
    /// µm per level-0 pixel for slides that do not say it.
    public var givenScale: Double?
    public var device: Device = .cpu
    public var logger = Logger.silent

    /// The scale at which the network works (paper §3.2).
    public static let micronsPerPixel = 0.5

    public init(slides: URL, heatmaps: URL?, output: URL, settings: LymphocyteSettings) {
        self.slides = slides
        self.heatmaps = heatmaps
        self.output = output
        self.settings = settings
    }

    /// What a training run tells on its way.
    public enum Event: Sendable {
        case leftOut(FailedInput)
        case ready(slides: [SlideUse], regionsPerClass: [Int], priors: LabelPriors)
        /// Steps of one member; members are trained one after another, numbered from 1.
        case progress(Trainer.Progress, member: Int, members: Int)
    }

    /// What is left at the end.
    public struct Outcome: Sendable {
        public let model: LymphocyteModelDescription
        public let failures: [FailedInput]
        /// The mean area of the cells that it finds in the counted squares, µm²; nil without squares, or cells.
        public let cellArea: Double?
        /// Why the model is hardly of use, though it was trained; a sentence each.
        public let warnings: [String]
    }

    /// A correlation of what the network finds with what coarse labels of held-out regions lead to expect, below which it has
    /// learnt nothing of them.
    static let leastCorrelation = 0.2

    /// Fewer counted squares teach a network nothing.
    private static let fewestSquares = 10

    /// - Throws: ``InputError`` where these squares alone cannot teach a network.
    public static func checkEnough(_ squares: [SquareReadings]) throws {
        guard squares.count >= fewestSquares else {
            throw InputError(
                .unusable,
                "\(squares.count) squares are counted; \(fewestSquares) are the least to learn from, and a hundred are enough"
            )
        }
        guard squares.contains(where: { $0.mean > 0 }) else {
            throw InputError(.unusable, "no counted square holds a lymphocyte: there is nothing to learn from yet")
        }
    }

    /// Squares whose cells are measured at the end, at most.
    private static let mostMeasured = 200

    /// What makes a training unlikely to have worked.
    static func warnings(set: TrainingSet, validation: ValidationMetrics?) -> [String] {
        var warnings: [String] = []
        let occurring = set.regionsPerClass.indices.filter { set.regionsPerClass[$0] > 0 }
        if occurring.count == 1, let only = occurring.first {
            warnings.append(
                "all regions and squares are of class \(only): a network learns from differences between classes; add slides with others"
            )
        } else if let validation, validation.correlation < leastCorrelation {
            warnings.append(
                String(
                    format:
                        "on held-out regions what the network finds hardly goes with the coarse labels (correlation %.2f): "
                        + (set.slides.contains { $0.heatmap != nil }
                            ? "the heatmaps may belong to other slides or lie elsewhere on them, or the training is too short"
                            : "the counts may be of other places, or too few, or the training is too short"),
                    validation.correlation))
        }
        for slide in set.slides {
            let count = slide.regions.offGrid
            let all = slide.heatmap?.regions.count ?? 0
            guard Double(count) > mostOffGrid * Double(all) else { continue }
            warnings.append(
                "\(count) of the \(all) regions of \(slide.name) lie between the squares of their grid and were left out"
            )
        }
        return warnings
    }

    /// Partial regions at a slide's edges are a few of a hundred.
    private static let mostOffGrid = 0.05

    /// What the labels are, with the names and priors of their classes.
    private struct Labels {
        let names: [String]
        let priors: LabelPriors
        /// The class with which a square is drawn.
        let stratum: @Sendable (SquareReadings) -> Int
    }

    private func labels(of squares: [SquareReadings]) throws -> Labels {
        let counting = counting
        guard heatmaps != nil else {
            guard priors == nil else {
                throw InputError(
                    .unusable, "priors are of a heatmap's classes; counted squares bring their own: leave --priors out")
            }
            let strata = try CountStrata(squares, counting: counting)
            return Labels(names: strata.names, priors: strata.priors) { strata.index(of: $0.mean) }
        }
        let classes = ProbabilityClasses()
        let priors = try self.priors ?? LabelPriors.defaultCurve(label: "lymphocyte", classCount: classes.count)
        guard priors.classCount == classes.count else {
            throw InputError(.unusable, "the priors have \(priors.classCount) classes, the heatmaps \(classes.count)")
        }
        let means = priors.means.map { $0[$0.count - 1] }
        return Labels(names: classes.names, priors: priors) { square in
            let share = counting.share(
                count: square.mean, readers: square.counts.count, sideMicrons: square.sideMicrons)
            return means.indices.min { abs(means[$0] - share.mean) < abs(means[$1] - share.mean) } ?? 0
        }
    }

    /// Trains up to `steps` and writes the model folder; slides that cannot be used are left out and reported.
    ///
    /// - Parameter stop: asked after each step; a stopped training keeps a checkpoint, from which it goes on with `resume`.
    /// - Throws: `CancellationError` where it was stopped.
    public func run(
        steps: Int, resume: Bool, stop: () -> Bool = { false }, report: (Event) -> Void
    ) throws -> Outcome {
        guard heatmaps != nil || !squares.isEmpty else {
            throw InputError(.unusable, "there is nothing to learn from: give heatmaps, counted squares, or both")
        }
        let readings = SquareReadings.grouped(squares)
        if heatmaps == nil { try LymphocyteTraining.checkEnough(readings) }
        let labels = try labels(of: readings)
        let priors = labels.priors
        var settings = heatmaps == nil ? settings.forSquares() : settings
        // A constant stays one only without the fixed term.
        if settings.training.objective.criterion?.constantLabel(priors: priors) != nil {
            settings.training.architecture.prior = nil
        }
        guard !settings.training.objective.needsFineLabels || masks != nil || !marks.isEmpty else {
            throw InputError(
                .unusable,
                "criterion \(settings.training.objective.name) needs fine labels: give a folder of masks with --masks"
                    + (settings.training.objective.criterion == nil ? "" : ", or marks with --marks")
            )
        }
        // Marks are few: images are drawn around them.
        if !marks.isEmpty, settings.sampling.unlabelledShare == nil { settings.sampling.unlabelledShare = 0.25 }
        let (slides, failures) = try openSlides(readings, labels: labels, report: report)
        let encoding = InputEncoding.rgbStains
        var set = try TrainingSet(
            slides: slides, encoding: encoding, settings: settings, priors: priors)
        set.logger = logger
        let folder = ModelFolder(output)
        try folder.create()
        report(.ready(slides: set.summary, regionsPerClass: set.regionsPerClass, priors: priors))
        let previewRegions = set.previewRegions(count: 6, classNames: labels.names)
        let networks = try EnsembleTraining(
            folder: folder, configuration: settings.training, priors: priors, device: device
        ).run(
            steps: steps, resume: resume, source: set, studentSource: set.forStudent(settings), stop: stop,
            preview: { own, step, network in
                try TrainingPreview(folder: own, channels: encoding.channels, encode: encoding.encoded)
                    .write(step: step, network: network, regions: previewRegions)
            },
            progress: { report(.progress($0, member: $1, members: $2)) })
        let assessment = try NetworkAssessment(
            networks, on: set, priors: priors, temperature: fitsTemperature ? nil : 1)
        let model = LymphocyteModelDescription(
            settings: set.modelSettings, coarseClasses: labels.names, priors: priors, training: settings.training,
            steps: steps, assessment: assessment,
            versions: [
                "graticule": GraticuleVersion.current, "libtorch": TorchRuntime.version,
                "openslide": Slide.libraryVersion,
            ])
        try folder.write(model)
        return Outcome(
            model: model, failures: failures, cellArea: try? meanCellArea(in: readings, slides: slides),
            warnings: LymphocyteTraining.warnings(set: set, validation: assessment.validation))
    }

    /// What `A` is on these slides, as far as the network can tell: it was trained with the assumed one, so that a round or two of
    /// training with what it finds is needed where they differ much.
    ///
    /// - Returns: nil where no cell is found. A few hundred squares tell it as well as thousands.
    private func meanCellArea(in readings: [SquareReadings], slides: [LabelledSlide]) throws -> Double? {
        let squares = readings.filter { $0.mean > 0 }.prefix(LymphocyteTraining.mostMeasured)
        guard !squares.isEmpty else { return nil }
        let model = try SegmentationModel(output, engine: .oneDNN(.float32))
        var areas: [Double] = []
        for slide in slides {
            for square in squares where slide.isCalled(square.slide) {
                let side = square.sideMicrons / slide.scale.micronsPerPixel
                let found = try? RegionPrediction(
                    slide: slide.reader.slide, scale: slide.scale, model: model, x: square.level0X, y: square.level0Y,
                    side: side)
                areas += (found?.cells ?? []).map(\.areaSquareMicrons)
            }
        }
        return areas.isEmpty ? nil : areas.reduce(0, +) / Double(areas.count)
    }

    private func openSlides(
        _ readings: [SquareReadings], labels: Labels, report: (Event) -> Void
    ) throws -> (slides: [LabelledSlide], failures: [FailedInput]) {
        let contents = SlideFolder.contents(of: [slides])
        if let missing = contents.failures.first { throw missing }
        let files = contents.slides
        let names = Set(files.map(\.name))
        for name in only.union(exclude).sorted() where !names.contains(name) {
            throw InputError(.unusable, "there is no slide named '\(name)' in \(slides.path)")
        }
        // A table may name files instead of slides.
        let byFile = Dictionary(files.map { ($0.relativePath, $0.title) }, uniquingKeysWith: { first, _ in first })
        let titles = Set(files.map(\.title))
        let counted = Dictionary(grouping: readings) {
            titles.contains($0.slide) ? $0.slide : byFile[$0.slide] ?? $0.slide
        }
        var opened: [LabelledSlide] = []
        var failures: [FailedInput] = []
        func leaveOut(_ name: String, _ error: any Error) {
            let failure = FailedInput(name: name, error: error)
            failures.append(failure)
            report(.leftOut(failure))
        }
        for name in counted.keys.sorted() where !titles.contains(name) {
            let count = counted[name]?.count ?? 0
            leaveOut(
                name,
                InputError(
                    .unusable,
                    "\(count) square\(count == 1 ? "" : "s") counted in '\(name)': there is no slide of that name in \(slides.path)"
                ))
        }
        for file in files {
            let name = file.name
            guard only.isEmpty || only.contains(name), !exclude.contains(name) else { continue }
            let own = counted[file.title] ?? []
            guard heatmaps != nil || !own.isEmpty else { continue }
            do {
                var slide = try labelledSlide(file, hasSquares: !own.isEmpty)
                try slide.add(own, counting: counting, stratum: labels.stratum) { square in
                    leaveOut(
                        file.title,
                        InputError(
                            .unusable,
                            "the square at \(square.level0X), \(square.level0Y) does not lie on slide \(file.title)"))
                }
                let seen = marks.filter { $0.slide == file.title && $0.kind != .region }.compactMap { mark in
                    mark.points.first.map {
                        FineMask.Mark(x: $0[0], y: $0[1], isLymphocyte: mark.kind == .missing)
                    }
                }
                if !marks.isEmpty { slide.add(seen) }
                opened.append(slide)
            } catch {
                leaveOut(name, error)
            }
        }
        guard marks.isEmpty || opened.contains(where: { $0.mask?.marks.isEmpty == false }) else {
            throw InputError(.unusable, "no cell is marked on the slides that are trained on")
        }
        guard !opened.isEmpty else {
            throw InputError(
                .unusable,
                failures.first.map { "no slide is left to train on: \($0.message)" }
                    ?? "no slide is left to train on: --only and --exclude leave none")
        }
        return (opened, failures)
    }

    /// A slide with its heatmap, where there are some; one with counted squares does not need one.
    private func labelledSlide(_ file: SlideFile, hasSquares: Bool) throws -> LabelledSlide {
        let masks = settings.training.objective.needsFineLabels ? masks : nil
        func open(_ heatmaps: URL?) throws -> LabelledSlide {
            try LabelledSlide(
                file, heatmaps: heatmaps, masks: masks, micronsPerPixel: LymphocyteTraining.micronsPerPixel,
                givenScale: givenScale, coarseClasses: ProbabilityClasses())
        }
        guard hasSquares, let heatmaps, try FilePairing(file, in: heatmaps).heatmap() == nil else {
            return try open(heatmaps)
        }
        return try open(nil)
    }
}
