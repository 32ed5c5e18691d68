internal import Baselines
internal import CoarseTraining
public import Foundation
public import LabelSuperResolution
public import Lymphocytes
internal import Raster
internal import ResultStore
internal import Torch
internal import WholeSlide

/// What one method reached on one fold with one seed.
public struct ExperimentResult: Codable, Sendable {
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
    /// Changes with what was asked of the job: a result of other settings is not taken for this one's.
    public var identity: String?
    /// Changes with how cells are made of a network's output: the network is kept and scored anew. Nil where no cells are scored.
    public var scoring: String?

    /// What ``scoring`` says of cells that are cut so, and of the threshold that they end at.
    static func scoring(cells settings: String) -> String {
        settings + "; threshold: regions as they come, temperature: held out"
    }

    /// Found cells against true ones, within 4 µm.
    public struct CellScore: Codable, Sendable {
        public let precision: Double
        public let recall: Double
        public let f1: Double
    }
}

/// Trains and scores every method on every fold, one job after another; what is done is kept and not done again.
public struct LymphocyteExperiment: Sendable {
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
    public struct Job: Sendable {
        public let method: ExperimentMethod
        public let fold: ExperimentFold
        public let seed: UInt64
        public var name: String { "\(fold.name)/\(method.name)-\(seed)" }
    }

    /// What a run tells on its way.
    public enum Event: Sendable {
        case begun(Job, number: Int, of: Int)
        case progress(Job, text: String)
        case done(Job, ExperimentResult, seconds: Double)
        case failed(Job, FailedInput)
    }

    /// Cells farther apart than this are not the same, µm.
    static let cellDistance = 4.0
    /// The type of CoNSeP that is lymphocyte here: inflammatory.
    static let lymphocyteType = "2"

    /// - Throws: ``WorkError`` where data of a fold that is to be trained is missing.
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

    func folder(_ job: Job) -> URL { work.appendingPathComponent(job.name, isDirectory: true) }

    /// The result of a job, if it is done with these settings.
    public func result(_ job: Job) -> ExperimentResult? {
        (try? Data(contentsOf: folder(job).appendingPathComponent("result.json")))
            .flatMap { try? JSONDecoder().decode(ExperimentResult.self, from: $0) }
            .flatMap { result in
                (try? identity(job)) == result.identity && scoring(job) == result.scoring ? result : nil
            }
    }

    /// How cells are made; rivals score patches and have none.
    private func scoring(_ job: Job) -> String? {
        if case .rival = job.method.kind { nil } else { ExperimentResult.scoring(cells: CellOutliner.settings()) }
    }

    /// The settings with which a job's networks are trained and drawn for; the preset's for what is no network.
    private func settings(of job: Job) throws -> LymphocyteSettings {
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
    private func parts(of job: Job) throws -> [Job] {
        let (name, wanted): (String, Int)
        switch job.method.kind {
        case .network, .mixture, .rival: return []
        case .blend: (name, wanted) = ("sr", 1)
        case .pair(let method): (name, wanted) = (method, 2)
        case .student(let method, let teachers, _): (name, wanted) = (method, teachers)
        case .variant(_, let method): (name, wanted) = (method, 1)
        }
        guard let method = ExperimentMethod.named(name), method.seeds >= wanted else {
            throw WorkError(.input, "'\(job.method.name)' needs \(wanted) networks of '\(name)'")
        }
        // The seed after the last of the method is its first.
        return (0..<UInt64(wanted)).map {
            Job(
                method: method, fold: job.fold, seed: firstSeed + (job.seed - firstSeed + $0) % UInt64(method.seeds))
        }
    }

    /// Settings, priors, slides, steps and program of a job, and of those that it is made of.
    func identity(_ job: Job) throws -> String {
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

    /// Does what is not done yet. A job that fails costs itself only.
    ///
    /// - Returns: whether all is done.
    public func run(report: (Event) -> Void) throws -> Bool {
        let open = jobs.filter { trainedFolds?.contains($0.fold.name) ?? true && result($0) == nil }
        var isComplete = true
        for (index, job) in open.enumerated() {
            report(.begun(job, number: index + 1, of: open.count))
            let start = Date()
            do {
                // First: a job that cannot start must not cost what is in its folder.
                try checkParts(of: job)
                let trainedBefore = try prepareFolder(job)
                var result = try run(job) { report(.progress(job, text: $0)) }
                result.identity = try identity(job)
                result.scoring = scoring(job)
                // Scored anew, not trained anew.
                result.trainingSeconds = trainedBefore ?? result.trainingSeconds
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
                try AtomicFile.write(
                    try encoder.encode(result), to: folder(job).appendingPathComponent("result.json"))
                report(.done(job, result, seconds: Date().timeIntervalSince(start)))
            } catch {
                isComplete = false
                report(.failed(job, FailedInput(name: job.name, error: error)))
            }
        }
        return isComplete
    }

    /// Makes the job's folder; what other settings left there would only stop the training, and is removed.
    ///
    /// - Returns: the seconds of a training with the same settings that is complete, and was scored in another way.
    private func prepareFolder(_ job: Job) throws -> Double? {
        let file = identityFile(job)
        let wanted = try identity(job)
        if (try? String(contentsOf: file, encoding: .utf8)) != wanted,
            FileManager.default.fileExists(atPath: folder(job).path)
        {
            try FileManager.default.removeItem(at: folder(job))
        }
        try FileManager.default.createDirectory(at: folder(job), withIntermediateDirectories: true)
        try AtomicFile.write(Data(wanted.utf8), to: file)
        let old = try? JSONDecoder().decode(
            ExperimentResult.self, from: Data(contentsOf: folder(job).appendingPathComponent("result.json")))
        return old?.identity == wanted ? old?.trainingSeconds : nil
    }

    private func identityFile(_ job: Job) -> URL { folder(job).appendingPathComponent("identity.txt") }

    private func modelFolder(_ job: Job) -> ModelFolder {
        ModelFolder(folder(job).appendingPathComponent("model", isDirectory: true))
    }

    /// - Throws: ``WorkError`` where a job that this one is made of is not trained with the settings that are asked for now.
    func checkParts(of job: Job) throws {
        for part in try parts(of: job) {
            let found = try? String(contentsOf: identityFile(part), encoding: .utf8)
            guard try found == identity(part), (try? description(of: part)) != nil else {
                throw WorkError(
                    .input, "\(job.name) is made of \(part.name), which is not trained with these settings yet")
            }
        }
    }

    private func description(of job: Job) throws -> LymphocyteModelDescription {
        try modelFolder(job).readDescription(LymphocyteModelSettings.self)
    }

    /// The networks that a job is made of.
    private func networks(for job: Job) throws -> [UNet] {
        try parts(of: job).flatMap { part in
            let description = try description(of: part)
            return try modelFolder(part).networks(
                members: description.members, architecture: description.architecture)
        }
    }

    private func run(_ job: Job, progress: (String) -> Void) throws -> ExperimentResult {
        switch job.method.kind {
        case .rival(let rival): return try score(rival, job: job)
        case .network(_, let source):
            let start = Date()
            let model = try train(job, source: source, progress: progress)
            let seconds = Date().timeIntervalSince(start)
            var result = try score(model, job: job)
            result.trainingSeconds = seconds
            return result
        case .mixture, .blend, .pair, .student, .variant:
            let start = Date()
            let model = try madeModel(job, progress: progress)
            let seconds = Date().timeIntervalSince(start)
            var result = try score(model, job: job)
            result.trainingSeconds = seconds
            return result
        }
    }

    // MARK: Training

    func priors(_ fold: ExperimentFold, source: ExperimentMethod.PriorSource) throws -> LabelPriors {
        let counts = try CountTable.priors(data.counts(fold))
        switch source {
        case .counts: return counts
        case .scaled(let factor): return try counts.scaled(by: factor)
        case .shifted(let steps): return try counts.shifted(by: steps)
        case .masks:
            return try MaskPriors.read(masks: data.masks, heatmaps: data.heatmaps, only: Set(fold.training))
        }
    }

    private func train(
        _ job: Job, source: ExperimentMethod.PriorSource, progress: (String) -> Void
    ) throws -> SegmentationModel {
        let output = modelFolder(job).url
        var training = LymphocyteTraining(
            slides: data.slides, heatmaps: data.heatmaps, output: output, settings: try settings(of: job))
        training.only = Set(job.fold.training)
        training.masks = data.masks
        training.priors = try priors(job.fold, source: source)
        _ = try training.run(steps: steps, resume: true) { event in
            if case .progress(let step, let member, _) = event, step.step % Trainer.interval == 0 {
                progress(
                    String(
                        format: "network %d, step %d/%d, %.2f s/step, %.0f s left", member, step.step, step.steps,
                        step.secondsPerStep, step.secondsLeft))
            }
        }
        // Methods are compared in 32 bits; what bytes cost is measured by itself.
        return try SegmentationModel(output, engine: .oneDNN(.float32))
    }

    /// What is no network of its own: the self-similarity posterior, alone or times the network of `sr`, a pair, a student, or a
    /// finished network used otherwise.
    private func madeModel(_ job: Job, progress: (String) -> Void) throws -> SegmentationModel {
        let settings = try settings(of: job)
        let priors = try priors(job.fold, source: .counts)
        let classes = ProbabilityClasses()
        let slides = try job.fold.training.map {
            try LabelledSlide(
                SlideFile(data.slide($0)), heatmaps: data.heatmaps,
                micronsPerPixel: LymphocyteTraining.micronsPerPixel, givenScale: nil, coarseClasses: classes)
        }
        // Students share the regions of their first teacher, held out and not, as in `train`.
        let set = try TrainingSet(slides: slides, encoding: .rgbStains, settings: settings, priors: priors)
        let made = try madeNetwork(job, set: set, settings: settings, priors: priors, progress: progress)
        let assessment = try NetworkAssessment(
            made.network, quantizing: made.members, on: set, priors: priors, temperature: made.temperature)
        let description = LymphocyteModelDescription(
            settings: set.modelSettings, coarseClasses: classes.names, priors: priors, training: settings.training,
            steps: steps, assessment: assessment, versions: ["graticule": GraticuleVersion.current])
        let folder = modelFolder(job)
        try folder.create()
        try folder.write(description)
        let network = TemperedNetwork(network: made.network, temperature: assessment.calibration.temperature)
        return SegmentationModel(
            network: try restained(network, job: job, encoding: set.encoding), description: description,
            fingerprint: job.name, folder: folder.url)
    }

    /// The network as it is used on the test slide: only that slide's stains are scaled, not those of the regions that it was
    /// validated on.
    private func restained(
        _ network: any SegmentationNetwork, job: Job, encoding: InputEncoding
    ) throws -> any SegmentationNetwork {
        guard case .variant(.stains, _) = job.method.kind else { return network }
        let levels = try (job.fold.training + [job.fold.test]).map {
            try StainLevels(slide: data.slide($0), micronsPerPixel: LymphocyteTraining.micronsPerPixel)
        }
        let (known, own) = (levels.dropLast(), levels[levels.count - 1])
        func factor(_ level: KeyPath<StainLevels, Double>) -> Float {
            Float(known.map { $0[keyPath: level] }.reduce(0, +) / Double(known.count) / own[keyPath: level])
        }
        return RestainedNetwork(
            network: network, encoding: encoding, factors: (factor(\.hematoxylin), factor(\.eosin)))
    }

    /// A network that a job makes of others.
    private struct MadeNetwork {
        /// Without temperature.
        let network: any SegmentationNetwork
        /// Its networks, where the job's folder is a model like any other.
        var members: [UNet] = []
        /// nil where it is to be fitted.
        var temperature: Double?
    }

    private func madeNetwork(
        _ job: Job, set: TrainingSet, settings: LymphocyteSettings, priors: LabelPriors, progress: (String) -> Void
    ) throws -> MadeNetwork {
        switch job.method.kind {
        case .pair: return MadeNetwork(network: TorchSegmentationNetwork(try networks(for: job)))
        case .student:
            guard let configuration = settings.training.studentConfiguration else { break }
            let trainer = try Trainer(
                configuration: configuration, priors: priors, source: set.forStudent(settings),
                teachers: networks(for: job))
            let own = modelFolder(job)
            try own.create()
            try trainer.train(into: own, steps: steps, resume: true, preview: { _, _ in }) { step in
                guard step.step % Trainer.interval == 0 else { return }
                progress(String(format: "step %d/%d, %.0f s left", step.step, step.steps, step.secondsLeft))
            }
            let networks = try own.networks(members: 1, architecture: configuration.architecture)
            return MadeNetwork(network: TorchSegmentationNetwork(networks), members: networks)
        case .variant(let variant, _):
            guard let part = try parts(of: job).first else { break }
            let temperature = try description(of: part).temperature
            let network = try OneDNNSegmentationNetwork(networks(for: job))
            switch variant {
            case .turns:
                return MadeNetwork(network: TurnedNetwork(network: network), temperature: temperature)
            case .disc:
                let radius = Int((2 / LymphocyteTraining.micronsPerPixel).rounded())
                return MadeNetwork(
                    network: DiscMeanNetwork(network: network, radius: radius), temperature: temperature)
            case .stains: return MadeNetwork(network: network, temperature: temperature)
            }
        default: break
        }
        let channel = set.encoding.hematoxylinChannel
        let posterior = try MixturePosterior.fit(
            source: set, channels: [channel, channel + 1], priors: priors, settings: MixturePosterior.Settings(),
            seed: job.seed
        ) { progress("mixture, round \($0) of \($1)") }
        let mixture = try MixtureNetwork(posterior)
        guard case .blend = job.method.kind, let part = try parts(of: job).first else {
            return MadeNetwork(network: mixture, temperature: 1)
        }
        // Its temperature, too, is that network's.
        let network = try SegmentationModel(modelFolder(part).url, engine: .oneDNN(.float32)).network
        return MadeNetwork(network: BlendedNetwork(network, mixture, weight: 0.5), temperature: 1)
    }
}
