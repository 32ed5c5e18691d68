internal import Baselines
internal import BatchWork
internal import CoarseTraining
internal import Failures
public import Foundation
public import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import Torch
internal import WholeSlide

/// What one method reached on one fold with one seed.
public struct ExperimentResult: StudyResult {
    public let method: String
    public let fold: String
    public let seed: UInt64
    /// By patch set (`natural`, `hard`) and score (`disc`, `centre`).
    public var patches: [String: [String: AreaUnderCurve]] = [:]
    /// Of darkness alone, by patch set.
    public var darkness: [String: AreaUnderCurve] = [:]
    /// Expected calibration error on the natural patches (disc).
    public var calibrationError: Double?
    public var pixelAUC: Double?
    /// At the threshold of the model, which comes from coarse labels.
    public var intersectionOverUnion: Double?
    public var threshold: Double?
    public var cells: CellScore?
    /// Without cutting touching cells apart.
    public var unsplitCells: CellScore?
    /// Correlation of μ and η on held-out regions of the training slides.
    public var heldOutCorrelation: Double?
    /// Of the network itself; its teachers' are their own.
    public var trainingSeconds: Double = 0
    public var steps: Int = 0
    /// The share of counted squares without a lymphocyte.
    public var empty: Double?
    /// Found cells against true ones, within 4 µm.
    public struct CellScore: Codable, Sendable {
        public let precision: Double
        public let recall: Double
        public let f1: Double
    }
}

/// Trains and scores every method on every fold, one job after another; what is done is kept and not done again.
public struct LymphocyteExperiment: Study {
    public let data: ExperimentData
    public let folds: [ExperimentFold]
    public let methods: [ExperimentMethod]
    /// Models and results of finished jobs.
    public let work: URL
    public var steps: Int
    public var members = 1
    /// No method is run with more seeds than this.
    public var mostSeeds = Int.max
    /// Names of the folds whose jobs ``run(report:)`` does; nil for all. A report is of all.
    public let trainedFolds: Set<String>?
    /// Seeds of a method are this and those that follow.
    public var firstSeed: UInt64 = 1

    /// One training, or one cross-validation.
    public struct Job: StudyJob {
        public let method: ExperimentMethod
        public let fold: ExperimentFold
        public let seed: UInt64
        public var name: String { "\(fold.name)/\(method.name)-\(seed)" }
    }

    /// Cells farther apart than this are not the same, µm.
    static let cellDistance = 4.0
    /// The type of CoNSeP that is lymphocyte here: inflammatory.
    static let lymphocyteType = "2"

    /// - Throws: ``InputError`` where data of a fold that is to be trained is missing.
    public init(
        data: URL, work: URL, folds: [ExperimentFold], trainedFolds: Set<String>? = nil, methods: [ExperimentMethod],
        steps: Int? = nil
    ) throws {
        self.data = ExperimentData(data)
        self.folds = folds
        self.trainedFolds = trainedFolds
        self.methods = methods
        self.work = work
        self.steps = steps ?? TrainingPreset.fast.lymphocytes(seed: 1).training.steps
        try self.data.check(folds.filter { trainedFolds?.contains($0.name) ?? true })
    }

    /// Methods with several seeds first, those that are made of others' networks after these; each method's first seed before its
    /// second.
    public var jobs: [Job] {
        /// How many trainings follow each other until it is done.
        func depth(_ method: ExperimentMethod) -> Int {
            switch method.kind {
            case .network, .mixture, .rival: 0
            case .blend: 1
            case .pair(let part), .student(let part, _, _), .variant(_, let part):
                ExperimentMethod.named(part).map { 1 + depth($0) } ?? 1
            }
        }
        let most = min(mostSeeds, methods.map(\.seeds).max() ?? 0)
        let groups = [methods.filter { $0.seeds > 1 }, methods.filter { $0.seeds == 1 }].flatMap { methods in
            (0...2).map { level in methods.filter { depth($0) == level } }
        }
        return groups.flatMap { group in (0..<most).map { (group, $0) } }.flatMap { group, round in
            group.filter { $0.seeds > round }.flatMap { method in
                folds.filter { method.folds?.contains($0.name) ?? true }
                    .map { Job(method: method, fold: $0, seed: firstSeed + UInt64(round)) }
            }
        }
    }

    public func isOwn(_ job: Job) -> Bool { trainedFolds?.contains(job.fold.name) ?? true }

    /// Of how patches, pixels and cells of a finished network are scored: raised when that changes.
    ///
    /// 1: the threshold of regions as they come, the temperature of held-out regions, cells cut by haematoxylin and distance.
    private static let scoringVersion = 1

    /// Rivals score patches and have no cells.
    public func scoringVersion(_ job: Job) -> Int {
        if case .rival = job.method.kind { 0 } else { LymphocyteExperiment.scoringVersion }
    }

    /// The settings with which a job's networks are trained and drawn for; the preset's for what is no network.
    func settings(of job: Job) throws -> LymphocyteSettings {
        var settings = TrainingPreset.fast.lymphocytes(seed: job.seed)
        switch job.method.kind {
        case .network(let change, _):
            settings.training.members = members
            settings.training.student = nil
            try change(&settings)
        case .student(_, _, let change): change(&settings)
        case .mixture, .blend, .pair, .rival, .variant: break
        }
        return settings
    }

    /// The jobs whose networks a job is made of.
    public func parts(of job: Job) throws -> [Job] {
        let (name, wanted): (String, Int)
        switch job.method.kind {
        case .network, .mixture, .rival: return []
        case .blend: (name, wanted) = ("sr", 1)
        case .pair(let method): (name, wanted) = (method, 2)
        case .student(let method, let teachers, _): (name, wanted) = (method, teachers)
        case .variant(_, let method): (name, wanted) = (method, 1)
        }
        guard let method = ExperimentMethod.named(name), method.seeds >= wanted else {
            throw InputError(.unusable, "'\(job.method.name)' needs \(wanted) networks of '\(name)'")
        }
        // The seed after the last of the method is its first.
        return (0..<UInt64(wanted)).map {
            Job(
                method: method, fold: job.fold, seed: firstSeed + (job.seed - firstSeed + $0) % UInt64(method.seeds))
        }
    }

    /// Settings, priors, slides, steps and program of a job, and of those that it is made of.
    public func identity(_ job: Job) throws -> String {
        var source = ExperimentMethod.PriorSource.counts
        if case .network(_, let own) = job.method.kind { source = own }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var fingerprint = Fingerprint()
        fingerprint.add(try encoder.encode(try settings(of: job)))
        for part in try parts(of: job) { fingerprint.add(try identity(part).utf8) }
        fingerprint.add(try Data(contentsOf: data.counts(job.fold)))
        fingerprint.add(
            "\(job.name) \(job.method.kindName) \(source) \(steps) \(job.fold.training) \(GraticuleVersion.current)"
                .utf8)
        return fingerprint.text
    }

    func modelFolder(_ job: Job) -> ModelFolder {
        ModelFolder(folder(job).appendingPathComponent("model", isDirectory: true))
    }

    public func isUsable(_ job: Job) -> Bool { (try? description(of: job)) != nil }

    func description(of job: Job) throws -> LymphocyteModelDescription {
        try modelFolder(job).readDescription(LymphocyteModelSettings.self)
    }

    /// The networks that a job is made of.
    func networks(for job: Job) throws -> [UNet] {
        try parts(of: job).flatMap { part in
            let description = try description(of: part)
            return try modelFolder(part).networks(
                members: description.members, architecture: description.architecture)
        }
    }

    public func perform(_ job: Job, progress: (String) -> Void) throws -> ExperimentResult {
        if case .rival(let rival) = job.method.kind { return try score(rival, job: job) }
        let start = Date()
        let model: SegmentationModel
        if case .network(_, let source) = job.method.kind {
            model = try train(job, source: source, progress: progress)
        } else {
            model = try madeModel(job, progress: progress)
        }
        let seconds = Date().timeIntervalSince(start)
        var result = try score(model, job: job)
        result.trainingSeconds = seconds
        return result
    }
}
