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
        self.steps = steps ?? TrainingPreset.fast.lymphocytes(seed: 1).steps
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

    /// The settings of the network that a job trains; the preset's for what is no network.
    private func configuration(of job: Job) throws -> TrainingConfiguration {
        var configuration = TrainingPreset.fast.lymphocytes(seed: job.seed)
        switch job.method.kind {
        case .network(let change, _):
            configuration.members = members
            configuration.selfTraining = false
            try change(&configuration)
        case .student(_, _, let change):
            configuration = configuration.lymphocyteStudent()
            change(&configuration)
        case .mixture, .blend, .pair, .rival, .variant: break
        }
        return configuration
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
        fingerprint.add(try encoder.encode(try configuration(of: job)))
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
            guard try found == identity(part), (try? modelFolder(part).readDescription()) != nil else {
                throw WorkError(
                    .input, "\(job.name) is made of \(part.name), which is not trained with these settings yet")
            }
        }
    }

    /// The networks that a job is made of.
    private func networks(for job: Job) throws -> [UNet] {
        try parts(of: job).flatMap { part in
            let description = try modelFolder(part).readDescription()
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
        var training = Training(
            slides: data.slides, heatmaps: data.heatmaps, output: output, configuration: try configuration(of: job))
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
        let configuration = try configuration(of: job)
        let priors = try priors(job.fold, source: .counts)
        let encoding = InputEncoding.rgbStains
        let slides = try job.fold.training.map {
            try TrainingSlide(
                SlideFile(data.slide($0)), heatmaps: data.heatmaps, micronsPerPixel: Training.micronsPerPixel,
                givenScale: nil,
                coarseClasses: CoarseClasses())
        }
        // Students share the regions of their first teacher, held out and not, as in `train`.
        let preset = TrainingPreset.fast.lymphocytes(seed: job.seed)
        let set = try TrainingSet(
            slides: slides, encoding: encoding, configuration: preset, priors: priors,
            coarseClasses: CoarseClasses())
        let (raw, temperature) = try madeNetwork(job, set: set, priors: priors, progress: progress)
        let calibration = try NetworkCalibration(raw, on: set, priors: priors, temperature: temperature)
        let network = TemperedNetwork(network: raw, temperature: calibration.temperature)
        let validation = try ValidationMetrics.measure(network, batches: set.validationBatches(), priors: priors)
        let described = if case .student = job.method.kind { preset.keeping(configuration) } else { preset }
        let description = ModelDescription(
            architecture: configuration.architecture, labels: priors.labels, inputEncoding: encoding.rawValue,
            micronsPerPixel: Training.micronsPerPixel, priors: priors, training: described, slides: set.summary,
            steps: steps, temperature: calibration.temperature, threshold: calibration.threshold,
            validation: validation,
            quantizations: try quantizations(job, set: set, threshold: calibration.untemperedThreshold), versions: [:])
        let folder = modelFolder(job)
        try folder.create()
        try AtomicFile.write(try JSONEncoder().encode(description), to: folder.description)
        return SegmentationModel(
            network: try restained(network, job: job, encoding: encoding), description: description,
            encoding: encoding, fingerprint: job.name, folder: folder.url)
    }

    /// The network as it is used on the test slide: only that slide's stains are scaled, not those of the regions that it was
    /// validated on.
    private func restained(
        _ network: any SegmentationNetwork, job: Job, encoding: InputEncoding
    ) throws -> any SegmentationNetwork {
        guard case .variant(.stains, _) = job.method.kind else { return network }
        let levels = try (job.fold.training + [job.fold.test]).map {
            try StainLevels(slide: data.slide($0), micronsPerPixel: Training.micronsPerPixel)
        }
        let (known, own) = (levels.dropLast(), levels[levels.count - 1])
        func factor(_ level: KeyPath<StainLevels, Double>) -> Float {
            Float(known.map { $0[keyPath: level] }.reduce(0, +) / Double(known.count) / own[keyPath: level])
        }
        return RestainedNetwork(
            network: network, encoding: encoding, factors: (factor(\.hematoxylin), factor(\.eosin)))
    }

    /// A student's scales for inference in bytes, so that its folder is a model like any other; nil for what is no network.
    private func quantizations(_ job: Job, set: TrainingSet, threshold: Double) throws -> [Quantization]? {
        guard case .student = job.method.kind else { return nil }
        let networks = try modelFolder(job).networks(members: 1, architecture: configuration(of: job).architecture)
        return try NetworkAssessment.quantizations(networks, on: set, threshold: threshold)
    }

    /// - Returns: the network without temperature, and its temperature where that is not to be fitted.
    private func madeNetwork(
        _ job: Job, set: TrainingSet, priors: LabelPriors, progress: (String) -> Void
    ) throws -> (network: any SegmentationNetwork, temperature: Double?) {
        switch job.method.kind {
        case .pair: return (TorchSegmentationNetwork(try networks(for: job)), nil)
        case .student:
            let configuration = try configuration(of: job)
            let trainer = try Trainer(
                configuration: configuration, priors: priors, source: set.forStudent(configuration),
                teachers: networks(for: job))
            let own = modelFolder(job)
            try own.create()
            try trainer.train(into: own, steps: steps, resume: true, preview: { _, _ in }) { step in
                guard step.step % Trainer.interval == 0 else { return }
                progress(String(format: "step %d/%d, %.0f s left", step.step, step.steps, step.secondsLeft))
            }
            let networks = try own.networks(members: 1, architecture: configuration.architecture)
            return (TorchSegmentationNetwork(networks), nil)
        case .variant(let variant, _):
            guard let part = try parts(of: job).first else { break }
            let temperature = try modelFolder(part).readDescription().temperature
            let network = try OneDNNSegmentationNetwork(networks(for: job))
            switch variant {
            case .turns: return (TurnedNetwork(network: network), temperature)
            case .disc:
                return (
                    DiscMeanNetwork(network: network, radius: Int((2 / Training.micronsPerPixel).rounded())),
                    temperature
                )
            case .stains: return (network, temperature)
            }
        default: break
        }
        let channel = set.encoding.hematoxylinChannel
        let posterior = try MixturePosterior.fit(
            source: set, channels: [channel, channel + 1], priors: priors, settings: MixturePosterior.Settings(),
            seed: job.seed
        ) { progress("mixture, round \($0) of \($1)") }
        let mixture = try MixtureNetwork(posterior)
        guard case .blend = job.method.kind else { return (mixture, 1) }
        // Its temperature, too, is that network's.
        guard let part = try parts(of: job).first else { return (mixture, 1) }
        let network = try SegmentationModel(modelFolder(part).url, engine: .oneDNN(.float32)).network
        return (BlendedNetwork(network, mixture, weight: 0.5), 1)
    }
}
