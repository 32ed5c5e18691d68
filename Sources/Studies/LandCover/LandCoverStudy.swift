internal import BatchWork
internal import Failures
public import Foundation
internal import GeoRaster
internal import LabelSuperResolution
internal import LandCover
internal import Phantoms
internal import Raster
internal import Torch

/// The criteria of the paper's Table 1, its priors (Table 5) and its shares of fine labels (Fig. 5) on land: real tiles of two places,
/// synthetic land, and a semi-synthetic scene. Preset `fast`, scored on land that was not trained on.
public struct LandCoverStudy: Study {
    /// How a network is trained.
    public struct Method: Sendable, Hashable {
        /// What its priors are.
        enum Priors: Sendable, Hashable {
            /// The fold's own.
            case own
            case described
            /// The fold's own with the share of impervious ground misjudged by a factor.
            case misjudged(Double)
        }

        /// Such as `sr-described`.
        public let name: String
        let title: String
        let criterion: String
        var priors = Priors.own
        /// Pixels whose true labels are used, about; nil for all.
        var finePixels: Int?
    }

    /// Land that is mapped with a network of other land.
    public struct Fold: Sendable, Hashable {
        /// Such as `tiles/ne`.
        public let name: String
        /// The data of its report.
        let data: String
        let folder: URL
        let images: String
        let coarse: String
        let fine: String
        let training: Set<String>
        /// The images whose true labels may be used.
        let labelled: Set<String>
        /// What is scored together, by name.
        let tests: [String: [String]]
        /// False for the paper's Table 4; else priors are counted on ``labelled``.
        let countsPriors: Bool
    }

    public struct Job: StudyJob {
        public let fold: Fold
        public let method: Method
        public let seed: UInt64
        public var name: String { "\(fold.name)/\(method.name)-\(seed)" }
    }

    /// Counts of pixels by true and found label.
    public struct Scores: Codable, Sendable {
        var all: MapEvaluation.Confusion
        /// Where the coarse class is a developed one.
        var developed: MapEvaluation.Confusion

        /// Share of pixels whose label is found.
        public var accuracy: Double { all.accuracy }
        public var developedMeanIntersectionOverUnion: Double { developed.meanIntersectionOverUnion }
    }

    public struct Result: StudyResult {
        public var trainingSeconds: Double
        /// By the name of the test.
        public var scores: [String: Scores]
    }

    public let work: URL
    public let folds: [Fold]
    /// Names of the methods that are done; nil for all.
    public var only: Set<String>?
    public var seeds = 3
    private let data: URL

    /// The names of data of which there may be folds.
    public static let dataNames = ["tiles", "synthetic", "semi-synthetic"]

    /// Size of a synthetic image, and how many there are; the last is scored.
    private static let (phantomSize, phantoms) = (1000, 3)
    private static let geometry = "chesapeake-1m/confluence_pa_lc_1m.tif"
    private static let water = "naip-series/m_4709963_se_14_1_20180716.tif"

    /// - Parameters:
    ///   - data: a folder with `naip/`, `nlcd/` and `landcover/`, tiles of one name in each; the place is in the name. With
    ///     `chesapeake-1m/` and `naip-series/` the semi-synthetic scene is there too.
    ///   - names: some of ``dataNames``.
    /// - Throws: ``InputError`` where there is nothing of a place.
    public init(data: URL, work: URL, names: Set<String> = Set(dataNames)) throws {
        self.work = work
        self.data = data
        var folds: [Fold] = []
        if names.contains("tiles") {
            let tiles = try RasterFolder(data.appendingPathComponent("naip")).files.map(RasterFolder.stem)
            for place in ["sw", "ne"] {
                let own = tiles.filter { $0.contains("_\(place)_") }
                guard !own.isEmpty else { throw InputError(.unusable, "there is no tile of \(place) in \(data.path)") }
                let training = Set(tiles).subtracting(own)
                folds.append(
                    Fold(
                        name: "tiles/\(place)", data: "tiles", folder: data, images: "naip", coarse: "nlcd",
                        fine: "landcover", training: training, labelled: training, tests: ["all": own],
                        countsPriors: false))
            }
        }
        func drawn(
            _ name: String, folder: String, training: Set<String>, labelled: Set<String>, tests: [String: [String]]
        ) -> Fold {
            Fold(
                name: "\(name)/land", data: name, folder: work.appendingPathComponent(folder), images: "images",
                coarse: "coarse", fine: "fine", training: training, labelled: labelled, tests: tests,
                countsPriors: true)
        }
        if names.contains("synthetic") {
            let all = (1...LandCoverStudy.phantoms).map { "land-\($0)" }
            folds.append(
                drawn(
                    "synthetic", folder: "land", training: Set(all.dropLast()), labelled: Set(all.dropLast()),
                    tests: ["all": [all[all.count - 1]]]))
        }
        if names.contains("semi-synthetic"),
            FileManager.default.fileExists(atPath: data.appendingPathComponent(LandCoverStudy.geometry).path)
        {
            func pieces(_ state: String, _ role: SemiSyntheticLand.Role) -> [String] {
                (1...SemiSyntheticLand.pieces).map { SemiSyntheticLand.name(state: state, role: role, number: $0) }
            }
            folds.append(
                drawn(
                    "semi-synthetic", folder: "semi-synthetic-land",
                    training: Set(pieces("one", .training) + pieces("two", .training)),
                    labelled: Set(pieces("one", .training)),
                    tests: ["one": pieces("one", .test), "two": pieces("two", .test)]))
        }
        self.folds = folds
    }

    /// The rows of the paper's Table 1, and the criteria that came later.
    static let criteria = [
        Method(name: "sr", title: "SR", criterion: "sr"),
        Method(name: "interval", title: "interval, ρ", criterion: "interval"),
        Method(name: "soft", title: "soft naive", criterion: "soft"),
        Method(name: "hard", title: "hard naive", criterion: "hard"),
        Method(name: "em", title: "EM", criterion: "em"),
        Method(name: "qr", title: "QR (2022)", criterion: "qr"),
        Method(name: "rq", title: "RQ (2022)", criterion: "rq"),
        Method(name: "hr", title: "every pixel: HR", criterion: "hr"),
    ]

    static let both = Method(name: "hr+sr", title: "HR + SR", criterion: "hr+sr")

    /// Other priors.
    static let otherPriors = [
        Method(name: "sr-described", title: "SR, from descriptions", criterion: "sr", priors: .described),
        Method(
            name: "interval-described", title: "interval, from descriptions", criterion: "interval", priors: .described),
        Method(name: "soft-described", title: "soft naive, from descriptions", criterion: "soft", priors: .described),
        Method(
            name: "sr-less", title: "SR, impervious ground × ⅔", criterion: "sr", priors: .misjudged(2.0 / 3)),
        Method(name: "sr-more", title: "SR, impervious ground × 1.5", criterion: "sr", priors: .misjudged(1.5)),
    ]

    /// Fewer true labels.
    static let fewerLabels = ["hr", "hr+sr"].flatMap { criterion in
        [4, 5, 6].map { power in
            Method(
                name: "\(criterion)-1e\(power)", title: "10\(["⁴", "⁵", "⁶"][power - 4])", criterion: criterion,
                finePixels: [10_000, 100_000, 1_000_000][power - 4])
        }
    }

    /// The names of all methods.
    public static let methodNames = (criteria + [both] + otherPriors + fewerLabels).map(\.name)

    private func methods(of fold: Fold) -> [Method] {
        let all =
            fold.data == "semi-synthetic"
            ? LandCoverStudy.criteria + [LandCoverStudy.both] + LandCoverStudy.otherPriors + LandCoverStudy.fewerLabels
            : LandCoverStudy.criteria
        return all.filter { only?.contains($0.name) ?? true }
    }

    public var jobs: [Job] {
        (1...UInt64(seeds)).flatMap { seed in
            folds.flatMap { fold in methods(of: fold).map { Job(fold: fold, method: $0, seed: seed) } }
        }
    }

    /// Raised where the same settings train something else than before.
    private static let trainingVersion = 2

    public func identity(_ job: Job) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let settings = TrainingPreset.fast.landCover(bands: 4, labels: 4, seed: job.seed)
        var fingerprint = Fingerprint()
        fingerprint.add(try encoder.encode(settings))
        fingerprint.add(
            "\(LandCoverStudy.trainingVersion) \(job.method) \(job.fold.training.sorted()) \(job.fold.tests.sorted { $0.key < $1.key })"
                .utf8)
        return fingerprint.text
    }

    public func perform(_ job: Job, progress: (String) -> Void) throws -> Result {
        let (fold, method) = (job.fold, job.method)
        try prepare(fold, progress: progress)
        func file(_ kind: String, _ name: String) -> URL { fold.folder.appendingPathComponent("\(kind)/\(name).tif") }
        var training = LandCoverTraining(
            images: fold.folder.appendingPathComponent(fold.images),
            coarse: fold.folder.appendingPathComponent(fold.coarse),
            output: folder(job).appendingPathComponent("model"), priors: try priors(of: job))
        training.seed = job.seed
        training.only = fold.training
        var fineFraction = 1.0
        if method.criterion.hasPrefix("hr") {
            training.fine = fold.folder.appendingPathComponent(fold.fine)
            training.fineOnly = fold.labelled
            if let wanted = method.finePixels {
                let there = try fold.labelled.map { try GeoRaster(file(fold.fine, $0)) }.reduce(0) {
                    $0 + $1.width * $1.height
                }
                fineFraction = min(1, Double(wanted) / Double(there))
            }
        }
        training.adjust = { settings in
            let matching = settings.training.objective.criterion?.matching ?? StatisticsMatching()
            settings.training.objective = try Objective(named: method.criterion, matching: matching)
            settings.sampling.fineFraction = fineFraction
        }
        let (mapper, seconds) = try training.mapper(progress: progress)
        var scores: [String: Scores] = [:]
        for (test, names) in fold.tests {
            var evaluation = try MapEvaluation(labels: .fourLabels, within: "developed")
            for name in names {
                let map = map(of: name, in: job)
                _ = try mapper.map(file(fold.images, name), to: map)
                try evaluation.add(
                    map: GeoRaster(map), truth: GeoRaster(file(fold.fine, name)),
                    coarse: GeoRaster(file(fold.coarse, name)))
            }
            scores[test] = Scores(
                all: evaluation.all,
                developed: evaluation.within ?? MapEvaluation.Confusion(labels: LandClasses.fourLabels.names))
        }
        return Result(trainingSeconds: seconds, scores: scores)
    }

    /// The map that a job made of a test image.
    func map(of name: String, in job: Job) -> URL { folder(job).appendingPathComponent("\(name).tif") }

    /// Draws the land of a fold where it is not there yet.
    private func prepare(_ fold: Fold, progress: (String) -> Void) throws {
        guard fold.folder != data else { return }
        // Drawn beside it and then moved: a folder that is there is whole.
        let manager = FileManager.default
        guard !manager.fileExists(atPath: fold.folder.path) else { return }
        let draft = fold.folder.appendingPathExtension("part")
        try? manager.removeItem(at: draft)
        switch fold.data {
        case "synthetic":
            try LandPhantom(
                folder: draft, images: LandCoverStudy.phantoms, size: LandCoverStudy.phantomSize, seed: 1
            ).write { progress("land \($0)") }
        default:
            try SemiSyntheticLand(
                geometry: data.appendingPathComponent(LandCoverStudy.geometry), textures: data,
                water: data.appendingPathComponent(LandCoverStudy.water), seed: 1
            ).write(to: draft) { progress("land \($0)") }
        }
        try manager.moveItem(at: draft, to: fold.folder)
    }

    private func priors(of job: Job) throws -> LabelPriors {
        let fold = job.fold
        func own() throws -> LabelPriors {
            let table = try LandCoverPriors.table4()
            guard fold.countsPriors else { return table }
            var counted = LandCoverPriors(coarse: .nlcd, labels: .fourLabels)
            for name in fold.labelled.sorted() {
                let (fine, coarse) = (
                    fold.folder.appendingPathComponent("\(fold.fine)/\(name).tif"),
                    fold.folder.appendingPathComponent("\(fold.coarse)/\(name).tif")
                )
                try counted.add(CoarseCells(image: GeoRaster(fine), coarse: GeoRaster(coarse), classes: .nlcd))
            }
            return try counted.priors(fallback: table)
        }
        switch job.method.priors {
        case .own: return try own()
        case .described: return try LandCoverPriors.fromNLCDDescriptions()
        case .misjudged(let factor): return try own().scaled("impervious", by: factor)
        }
    }
}

extension LandCoverTraining {
    /// Trains, and gives what maps with the model and how long the training took.
    func mapper(progress: (String) -> Void) throws -> (mapper: LandMapper, seconds: Double) {
        let start = Date()
        _ = try run(resume: false) { event in
            if case .progress(let step, _, _) = event {
                progress("step \(step.step)/\(step.steps), " + String(format: "%.2f s/step", step.secondsPerStep))
            }
        }
        let seconds = Date().timeIntervalSince(start)
        var mapper = LandMapper(model: try LandCoverModel(output))
        mapper.threads = TorchRuntime.threads
        return (mapper, seconds)
    }
}
