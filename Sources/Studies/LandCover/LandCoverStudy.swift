internal import BatchWork
internal import Failures
public import Foundation
internal import GeoRaster
internal import LabelSuperResolution
internal import LandCover
internal import Phantoms
internal import Raster
internal import Torch

/// The criteria of the paper's Table 1 on real tiles of two places and on synthetic land: `fast`, scored on land that was not trained on.
public struct LandCoverStudy: Study {
    /// Land that is mapped with a network of other land.
    public struct Fold: Sendable, Hashable {
        /// Such as `tiles/ne`: the data, and what is scored.
        public let name: String
        let folder: URL
        let images: String
        let coarse: String
        let fine: String
        let training: Set<String>
        let test: [String]
        /// nil for the paper's Table 4; else priors are counted on the training images.
        let countsPriors: Bool
        /// The table of the report that it is in.
        let table: String
    }

    public struct Job: StudyJob {
        public let fold: Fold
        public let criterion: String
        public let seed: UInt64
        public var name: String { "\(fold.name)/\(criterion)-\(seed)" }
    }

    /// Counts of pixels by true and found label.
    public struct Result: StudyResult {
        public var trainingSeconds: Double
        public var all: MapScores
        public var developed: MapScores
    }

    /// A confusion that can be kept and added up.
    public struct MapScores: Codable, Sendable {
        var confusion: MapEvaluation.Confusion

        /// Share of pixels whose label is found.
        public var accuracy: Double { confusion.accuracy }
    }

    public let work: URL
    public let folds: [Fold]
    public var criteria = ["sr", "interval", "soft", "hard", "hr"]
    public var seeds = 3

    /// Size of a synthetic image, and how many there are; the last is scored.
    private static let (phantomSize, phantoms) = (1000, 3)

    /// - Parameter data: a folder with `naip/`, `nlcd/` and `landcover/`, tiles of one name in each; the place is in the name.
    /// - Throws: ``InputError`` where there is nothing of a place.
    public init(data: URL, work: URL) throws {
        self.work = work
        let names = try RasterFolder(data.appendingPathComponent("naip")).files.map(RasterFolder.stem)
        let places = ["sw", "ne"]
        let tiles = try places.map { place in
            let own = names.filter { $0.contains("_\(place)_") }
            guard !own.isEmpty else { throw InputError(.unusable, "there is no tile of \(place) in \(data.path)") }
            return Fold(
                name: "tiles/\(place)", folder: data, images: "naip", coarse: "nlcd", fine: "landcover",
                training: Set(names).subtracting(own), test: own, countsPriors: false, table: "tiles")
        }
        let all = (1...LandCoverStudy.phantoms).map { "land-\($0)" }
        folds =
            tiles + [
                Fold(
                    name: "synthetic/\(all[all.count - 1])", folder: work.appendingPathComponent("land"),
                    images: "images", coarse: "coarse", fine: "fine", training: Set(all.dropLast()),
                    test: [all[all.count - 1]], countsPriors: true, table: "synthetic")
            ]
    }

    public var jobs: [Job] {
        criteria.flatMap { criterion in
            folds.flatMap { fold in
                (1...UInt64(seeds)).map { Job(fold: fold, criterion: criterion, seed: $0) }
            }
        }
    }

    /// Raised where the same settings train something else than before.
    private static let trainingVersion = 1

    public func isOwn(_ job: Job) -> Bool { true }
    public func scoringVersion(_ job: Job) -> Int { 1 }
    public func parts(of job: Job) -> [Job] { [] }
    public func isUsable(_ job: Job) -> Bool { true }

    public func identity(_ job: Job) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let settings = TrainingPreset.fast.landCover(bands: 4, labels: 4, seed: job.seed)
        var fingerprint = Fingerprint()
        fingerprint.add(try encoder.encode(settings))
        fingerprint.add(
            "\(LandCoverStudy.trainingVersion) \(job.criterion) \(job.fold.training.sorted()) \(job.fold.test)".utf8)
        return fingerprint.text
    }

    public func perform(_ job: Job, progress: (String) -> Void) throws -> Result {
        let fold = job.fold
        let folder = folder(job)
        if fold.table == "synthetic",
            !FileManager.default.fileExists(
                atPath: fold.folder.appendingPathComponent("coarse/\(fold.test[0]).tif").path)
        {
            try LandPhantom(
                folder: fold.folder, images: LandCoverStudy.phantoms, size: LandCoverStudy.phantomSize, seed: 1
            ).write()
        }
        func file(_ kind: String, _ name: String) -> URL { fold.folder.appendingPathComponent("\(kind)/\(name).tif") }
        var priors = try LandCoverPriors.table4()
        if fold.countsPriors {
            var counted = LandCoverPriors(coarse: .nlcd, labels: .fourLabels)
            for name in fold.training.sorted() {
                try counted.add(
                    CoarseCells(
                        image: GeoRaster(file(fold.fine, name)), coarse: GeoRaster(file(fold.coarse, name)),
                        classes: .nlcd))
            }
            priors = try counted.priors(fallback: priors)
        }
        var training = LandCoverTraining(
            images: fold.folder.appendingPathComponent(fold.images),
            coarse: fold.folder.appendingPathComponent(fold.coarse), output: folder.appendingPathComponent("model"),
            priors: priors)
        training.seed = job.seed
        training.only = fold.training
        if job.criterion == "hr" { training.fine = fold.folder.appendingPathComponent(fold.fine) }
        let criterion = job.criterion
        training.adjust = { settings in
            let matching = settings.training.objective.criterion?.matching ?? StatisticsMatching()
            settings.training.objective = try Objective(named: criterion, matching: matching)
        }
        let start = Date()
        _ = try training.run(resume: false) { event in
            if case .progress(let step, _, _) = event {
                progress("step \(step.step)/\(step.steps), " + String(format: "%.2f s/step", step.secondsPerStep))
            }
        }
        let seconds = Date().timeIntervalSince(start)
        var mapper = LandMapper(model: try LandCoverModel(training.output))
        mapper.threads = TorchRuntime.threads
        var evaluation = try MapEvaluation(labels: .fourLabels, within: "developed")
        for name in fold.test {
            let map = folder.appendingPathComponent("\(name).tif")
            _ = try mapper.map(file(fold.images, name), to: map)
            try evaluation.add(
                map: GeoRaster(map), truth: GeoRaster(file(fold.fine, name)),
                coarse: GeoRaster(file(fold.coarse, name)))
        }
        return Result(
            trainingSeconds: seconds, all: MapScores(confusion: evaluation.all),
            developed: MapScores(
                confusion: evaluation.within ?? MapEvaluation.Confusion(labels: LandClasses.fourLabels.names)))
    }
}
