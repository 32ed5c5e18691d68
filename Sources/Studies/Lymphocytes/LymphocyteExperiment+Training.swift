internal import Baselines
internal import CoarseTraining
internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import WholeSlide

/// How the networks of a job come about.
extension LymphocyteExperiment {
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

    func train(
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
    func madeModel(_ job: Job, progress: (String) -> Void) throws -> SegmentationModel {
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
