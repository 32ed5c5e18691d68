public import LabelSuperResolution
public import Torch

/// Trains the members of a model and, where the settings ask for one, the student that learns from them and is kept.
public struct EnsembleTraining {
    public let folder: ModelFolder
    public let configuration: TrainingConfiguration
    public let priors: LabelPriors
    public let device: Device

    public init(
        folder: ModelFolder, configuration: TrainingConfiguration, priors: LabelPriors, device: Device = .cpu
    ) {
        self.folder = folder
        self.configuration = configuration
        self.priors = priors
        self.device = device
    }

    /// Trains each network in its own folder, the last or only one in the model folder itself.
    ///
    /// - Parameters:
    ///   - source: the blocks as the members see them.
    ///   - studentSource: the blocks as the student sees them.
    ///   - stop: asked after each step.
    ///   - preview: called now and then with the folder of the network in work, its step and the network as it is.
    ///   - progress: called after each step with the number of the network, from 1, and how many there are.
    /// - Returns: the networks of the finished model.
    /// - Throws: `CancellationError` where it was stopped.
    public func run(
        steps: Int, resume: Bool, source: any BlockSource, studentSource: any BlockSource,
        stop: () -> Bool = { false },
        preview: (ModelFolder, Int, any SegmentationNetwork) throws -> Void = { _, _, _ in },
        progress: (Trainer.Progress, _ number: Int, _ count: Int) -> Void
    ) throws -> [UNet] {
        let (members, student) = (configuration.members, configuration.studentConfiguration)
        let count = members + (student == nil ? 0 : 1)
        func train(
            _ number: Int, in own: ModelFolder, settings: TrainingConfiguration, source: any BlockSource,
            teachers: [UNet]
        ) throws {
            try own.create()
            let trainer = try Trainer(
                configuration: settings, priors: priors, source: source, teachers: teachers, device: device)
            try trainer.train(
                into: own, steps: steps, resume: resume, stop: stop,
                preview: { step, network in try preview(own, step, network) },
                progress: { progress($0, number, count) })
        }
        for number in 1...members {
            var settings = configuration
            settings.seed = configuration.seed &+ UInt64(number - 1)
            try train(
                number, in: count == 1 ? folder : folder.member(number), settings: settings, source: source,
                teachers: [])
        }
        if let student {
            let teachers = try (1...members).flatMap {
                try folder.member($0).networks(members: 1, architecture: configuration.architecture)
            }
            try train(count, in: folder, settings: student, source: studentSource, teachers: teachers)
        }
        return try folder.networks(
            members: student == nil ? members : 1, architecture: configuration.architecture)
    }
}
