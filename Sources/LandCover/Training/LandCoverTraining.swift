internal import BatchWork
internal import CoarseTraining
public import Failures
public import Foundation
internal import GeoRaster
public import LabelSuperResolution
public import Torch

/// Everything that decides what a land-cover training computes, besides its data.
public struct LandCoverSettings: Codable, Equatable, Sendable {
    public var training: TrainingConfiguration
    public var sampling: LandSampling

    public init(training: TrainingConfiguration, sampling: LandSampling) {
        self.training = training
        self.sampling = sampling
    }
}

extension TrainingPreset {
    /// The preset's settings for land cover.
    public func landCover(bands: Int, labels: Int, seed: UInt64) -> LandCoverSettings {
        var training = configuration(inputChannels: bands, labels: labels, seed: seed)
        training.hintWeight = 0
        switch self {
        case .fast:
            training.batchSize = 12
            training.steps = 300
            training.schedule = .cosine(warmup: 50, length: 300)
            // A student would learn the mistakes of its teachers: coarse maps are older than images, and lie beside them.
            training.members = 1
            training.student = nil
            training.objective = Objective(
                .statisticsMatching(StatisticsMatching(epsilon: 0.03, logWeight: 0.1, leastDeviation: 0.1)))
            return LandCoverSettings(training: training, sampling: LandSampling(side: 128))
        case .paper:
            return LandCoverSettings(training: training, sampling: LandSampling(side: 240, jitter: 0))
        }
    }
}

/// Trains a land-cover model from images and coarse rasters.
public struct LandCoverTraining {
    /// What a run tells on its way.
    public enum Event {
        case leftOut(FailedInput)
        case ready(images: [String], cellsPerClass: [Int])
        case progress(Trainer.Progress, member: Int, members: Int)
    }

    public struct Outcome {
        public let model: LandCoverModelDescription
        public let failures: [FailedInput]
    }

    public let images: URL
    public let coarse: URL
    public let output: URL
    /// True labels on the images' own pixels. With `hr+sr` an image without them is trained on by its coarse classes alone; with `hr`
    /// it is left out.
    public var fine: URL?
    /// Use the true labels of these images only, by name; nil for all that there are.
    public var fineOnly: Set<String>?
    public var coarseClasses = LandClasses.nlcd
    public var labels = LandClasses.fourLabels
    public var priors: LabelPriors
    public var preset = TrainingPreset.fast
    public var seed: UInt64 = 1
    /// Side of a coarse cell where the coarse rasters have the images' own pixels; nil for 30.
    public var cellSide: Double?
    /// Use only these images, by name; empty for all.
    public var only: Set<String> = []
    public var exclude: Set<String> = []
    public var device = Device.cpu
    /// Changes the preset's settings.
    public var adjust: (inout LandCoverSettings) throws -> Void = { _ in }

    public init(images: URL, coarse: URL, output: URL, priors: LabelPriors) {
        self.images = images
        self.coarse = coarse
        self.output = output
        self.priors = priors
    }

    /// Trains up to `steps`, the preset's own number where nil, and writes the model folder; images that cannot be used are left
    /// out and reported.
    ///
    /// - Throws: `CancellationError` where it was stopped.
    public func run(
        steps: Int? = nil, resume: Bool, stop: () -> Bool = { false }, report: (Event) -> Void
    ) throws -> Outcome {
        guard priors.labels == labels.names else {
            throw InputError(
                .unusable,
                "the priors are of \(priors.labels.joined(separator: ", ")), the labels are \(labels.names.joined(separator: ", "))"
            )
        }
        guard priors.classCount == coarseClasses.count else {
            throw InputError(
                .unusable, "the priors have \(priors.classCount) classes, the coarse table \(coarseClasses.count)")
        }
        if let named = priors.classes, named != coarseClasses.names {
            let other = zip(named, coarseClasses.names).first { $0 != $1 }
            throw InputError(
                .unusable,
                "the priors are of other classes than the coarse table: '\(other?.0 ?? "")' stands where the table has '\(other?.1 ?? "")'"
            )
        }
        var (opened, sums, failures) = try openImages(report: report)
        let bands = opened[0].image.bands
        var settings = preset.landCover(bands: bands, labels: labels.count, seed: seed)
        try adjust(&settings)
        let objective = settings.training.objective
        guard !objective.needsFineLabels || opened.contains(where: { $0.fine != nil }) else {
            throw InputError(
                .unusable,
                fine.map { "no image has true labels in \($0.path): looked for '\(opened[0].name)' and the like" }
                    ?? "criterion \(objective.name) needs the labels of pixels: give their rasters with --fine")
        }
        if objective.needsFineLabels, objective.criterion == nil {
            for image in opened where image.fine == nil && fineOnly == nil {
                let failure = FailedInput(
                    name: image.name,
                    error: InputError(
                        .unusable, "there is no raster named '\(image.name)' in \(fine?.path ?? "--fine")"))
                failures.append(failure)
                report(.leftOut(failure))
            }
            sums = zip(opened, sums).filter { $0.0.fine != nil }.map(\.1)
            opened.removeAll { $0.fine == nil }
        }
        // Images that are smaller than a training image must not be mostly filling.
        let least = opened.map { min($0.image.width, $0.image.height) }.min() ?? settings.sampling.side
        let multiple = max(16, settings.training.architecture.gridMultiple)
        settings.sampling.side = max(multiple, min(settings.sampling.side, least) / multiple * multiple)
        let scaling = try LandCoverTraining.scaling(of: sums)
        let source = try LandCoverSource(
            opened, scaling: scaling, sampling: settings.sampling, coarse: coarseClasses, labels: labels, seed: seed)
        let steps = steps ?? settings.training.steps
        if let first = settings.training.firstRound, steps < first {
            throw InputError(
                .unusable,
                "criterion em is sr until its first round, at step \(first): train for more than \(steps) steps")
        }
        let folder = ModelFolder(output)
        try folder.create()
        report(.ready(images: opened.map(\.name), cellsPerClass: source.cellsPerClass))
        let networks = try EnsembleTraining(
            folder: folder, configuration: settings.training, priors: priors, device: device
        ).run(
            steps: steps, resume: resume, source: source, studentSource: source, stop: stop,
            progress: { report(.progress($0, member: $1, members: $2)) })
        let validation = try ValidationMetrics.measure(
            TorchSegmentationNetwork(networks), batches: source.validationBatches(), priors: priors)
        let model = LandCoverModelDescription(
            settings: LandCoverModelSettings(
                scaling: scaling, pixelSize: opened[0].image.transform?.pixelSize.width, coarse: coarseClasses,
                labels: labels, images: opened.map(\.name)),
            coarseClasses: coarseClasses.names, priors: priors, training: settings.training, steps: steps,
            validation: validation, versions: ["libtorch": TorchRuntime.version])
        try folder.write(model)
        return Outcome(model: model, failures: failures)
    }

    private func openImages(
        report: (Event) -> Void
    ) throws -> (images: [LandImage], sums: [[BandSum]], failures: [FailedInput]) {
        let (files, coarseFolder) = (try RasterFolder(images), try RasterFolder(coarse))
        let fineFolder = try fine.map { try RasterFolder($0) }
        let names = files.files.map(RasterFolder.stem)
        for name in only.union(exclude).sorted() where !names.contains(name) {
            throw InputError(.unusable, "there is no image named '\(name)' in \(images.path)")
        }
        var opened: [LandImage] = []
        var sums: [[BandSum]] = []
        var failures: [FailedInput] = []
        for file in files.files {
            let name = RasterFolder.stem(file)
            guard only.isEmpty || only.contains(name), !exclude.contains(name) else { continue }
            do {
                let image = try GeoRaster(file)
                let cells = try CoarseCells(
                    image: image, coarse: GeoRaster(coarseFolder.partner(of: name)), classes: coarseClasses,
                    side: cellSide)
                let hasFine = fineOnly?.contains(name) ?? true
                let labelled = try hasFine ? fineFolder?.partnerIfThere(of: name).map { try GeoRaster($0) } : nil
                if let first = opened.first, first.image.bands != image.bands {
                    throw InputError(
                        .unusable,
                        "image \(file.path) has \(image.bands) bands, \(first.name) has \(first.image.bands)")
                }
                let land = try LandImage(name: name, image: image, cells: cells, fine: labelled)
                // Its pixels are read here: a file that is cut off opens like any other.
                sums.append(try LandCoverTraining.sums(of: image))
                opened.append(land)
            } catch {
                let failure = FailedInput(name: name, error: error)
                failures.append(failure)
                report(.leftOut(failure))
            }
        }
        guard !opened.isEmpty else {
            throw InputError(
                .unusable,
                failures.first.map { "no image is left to train on: \($0.message)" }
                    ?? "no image is left to train on: --only and --exclude leave none")
        }
        return (opened, sums, failures)
    }

    /// Sums of a band's values.
    private struct BandSum {
        var (count, sum, square) = (0.0, 0.0, 0.0)
    }

    /// Pixels of an image that are enough to tell the mean of a band.
    private static let sampledPixels = 1 << 22

    private static func sums(of image: GeoRaster) throws -> [BandSum] {
        var sums = [BandSum](repeating: BandSum(), count: image.bands)
        let rows = 64
        let strips = (image.height + rows - 1) / rows
        let step = max(1, strips * rows * image.width / sampledPixels)
        for strip in stride(from: 0, to: strips, by: step) {
            let window = GeoRaster.Window(
                column: 0, row: strip * rows, width: image.width, height: min(rows, image.height - strip * rows))
            let mask = try image.mask(in: window)
            for band in sums.indices {
                for (index, value) in try image.values(band: band, in: window).enumerated()
                where value.isFinite && image.isData(value, band: band) && mask?[index] ?? true {
                    sums[band].count += 1
                    sums[band].sum += Double(value)
                    sums[band].square += Double(value) * Double(value)
                }
            }
        }
        guard sums.allSatisfy({ $0.count > 0 }) else {
            throw InputError(.unusable, "image \(image.url.path) has no data")
        }
        return sums
    }

    /// Mean and standard deviation of each band over the data of all images.
    private static func scaling(of images: [[BandSum]]) throws -> BandScaling {
        var sums = [BandSum](repeating: BandSum(), count: images[0].count)
        for image in images {
            for band in sums.indices {
                sums[band].count += image[band].count
                sums[band].sum += image[band].sum
                sums[band].square += image[band].square
            }
        }
        let means = sums.map { $0.sum / $0.count }
        return BandScaling(
            means: means,
            deviations: zip(sums, means).map { max(1e-6, ($0.square / $0.count - $1 * $1).squareRoot()) })
    }
}
