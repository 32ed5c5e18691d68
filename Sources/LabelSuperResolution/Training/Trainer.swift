internal import Failures
internal import Foundation
internal import Raster
public import Torch

/// Trains a network from coarse labels and keeps a checkpoint from which an interrupted run goes on bit for bit.
public final class Trainer {
    /// What the run reports after a step.
    public struct Progress: Sendable {
        public let step: Int
        public let steps: Int
        public let loss: Double
        public let secondsPerStep: Double
        /// Set on the steps where validation ran.
        public let validation: ValidationMetrics?

        public var secondsLeft: Double { secondsPerStep * Double(steps - step) }
    }

    /// Steps between two validations, previews and checkpoints: a minute or so of the `fast` preset.
    public static let interval = 50

    private let configuration: TrainingConfiguration
    private let priors: LabelPriors
    private let source: any BlockSource
    private let device: Device
    private let network: UNet
    private let average: UNet?
    private let optimizer: Optimizer
    /// Trained networks that this one learns from (``Teaching/networks(weight:evidenceWeight:unknownWeight:)``).
    private let teachers: [UNet]
    /// The network as it was when the last round of expectation maximisation began.
    private var roundNetwork: UNet?
    private var step = 0
    private var rows: [String] = []

    private static let metricsHeader =
        "step,seconds,learning_rate,loss,coarse,hints,taught,gradient_norm,val_correlation,val_mismatch,val_absolute_error,val_pixel_variance"

    /// - Parameter teachers: for an objective that networks teach, at least one; empty for others.
    /// - Throws: ``MethodError`` where priors or teachers do not fit the settings.
    public init(
        configuration: TrainingConfiguration, priors: LabelPriors, source: any BlockSource, teachers: [UNet] = [],
        device: Device = .cpu
    ) throws {
        guard priors.labels.count == configuration.architecture.labels else {
            throw MethodError(
                .priors,
                "priors for \(priors.labels.count) labels do not fit a network of \(configuration.architecture.labels)")
        }
        var isTaught = false
        if case .networks = configuration.objective.teaching { isTaught = true }
        guard isTaught != teachers.isEmpty else {
            throw MethodError(
                .training,
                isTaught ? "there is no network to learn from" : "the objective does not learn from other networks")
        }
        self.configuration = configuration
        self.priors = priors
        self.source = source
        self.device = device
        self.teachers = try device == .cpu ? teachers : teachers.map { try $0.copied(to: device) }
        let fresh = try UNet(configuration.architecture, seed: configuration.seed)
        network = try device == .cpu ? fresh : fresh.copied(to: device)
        average = try configuration.averaging == nil ? nil : network.copied(to: device)
        optimizer = try Optimizer(rule: configuration.optimizer, parameters: network.tensors)
    }

    /// The network that the model keeps: the running average where there is one.
    private var kept: UNet { average ?? network }

    /// Trains up to `steps`, and leaves the weights in the folder.
    ///
    /// - Parameters:
    ///   - resume: goes on from the folder's checkpoint if it has one.
    ///   - stop: asked after each step; a stopped training keeps a checkpoint of that step.
    ///   - preview: called after each validation with the network as it is then; must not keep it.
    ///   - progress: called after each step.
    /// - Returns: the last validation.
    /// - Throws: ``MethodError`` where the checkpoint is of other settings or the loss is no number; `CancellationError` where it
    ///   was stopped.
    @discardableResult
    public func train(
        into folder: ModelFolder, steps: Int, resume: Bool, stop: () -> Bool = { false },
        preview: (Int, any SegmentationNetwork) throws -> Void,
        progress: (Progress) -> Void
    ) throws -> ValidationMetrics? {
        if resume { try readCheckpoint(folder) }
        guard step <= steps else {
            throw MethodError(
                .training, "\(folder.checkpoint.path) is at step \(step) already, beyond --steps \(steps)")
        }
        let validationBatches = try source.validationBatches()
        let prefetcher = BatchPrefetcher(
            source: source, count: configuration.batchSize, seed: configuration.seed, last: steps)
        var validation: ValidationMetrics?
        if let label = configuration.objective.criterion?.constantLabel(priors: priors) {
            // The minimum is known: every pixel of every block has the same label. Steps would only approach it.
            try network.makeConstant(label: label)
            try average?.makeConstant(label: label)
            step = steps
        }
        let start = Date()
        let first = step
        while step < steps {
            let row = try takeStep(prefetcher)
            var text = "\(step),\(String(format: "%.1f", Date().timeIntervalSince(start)))," + row.text
            validation = nil
            if step % Trainer.interval == 0 || step == steps {
                let frozen = try TorchSegmentationNetwork([kept.copied(to: device)], device: device)
                validation = try ValidationMetrics.measure(frozen, batches: validationBatches, priors: priors)
                if let validation {
                    text +=
                        ",\(validation.correlation),\(validation.mismatch),\(validation.absoluteError),\(validation.pixelVariance)"
                } else {
                    text += ",,,,"
                }
                rows.append(text)
                try preview(step, frozen)
                try writeCheckpoint(folder)
            } else {
                rows.append(text + ",,,,")
            }
            progress(
                Progress(
                    step: step, steps: steps, loss: row.loss,
                    secondsPerStep: Date().timeIntervalSince(start) / Double(step - first), validation: validation))
            if step < steps, stop() {
                if step % Trainer.interval != 0 { try writeCheckpoint(folder) }
                throw CancellationError()
            }
        }
        if first >= steps {
            validation = try ValidationMetrics.measure(
                TorchSegmentationNetwork([kept], device: device), batches: validationBatches, priors: priors)
        }
        do {
            try Safetensors.write(kept.tensors, metadata: ["format": "pt"], to: folder.weights)
        } catch let error where !(error is TorchError) {
            throw MethodError(
                .training, "cannot write \(folder.weights.path): \(FileFailure.reason(error))", cause: error)
        }
        return validation
    }

    private func takeStep(_ batches: BatchPrefetcher) throws -> (text: String, loss: Double) {
        step += 1
        if configuration.beginsRound(step) { roundNetwork = try kept.copied(to: device) }
        let batch = try batches.batch(step: step)
        let input = try batch.tensor(device: device)
        let logProbabilities = try network(input, isTraining: true).logSoftmax(dimension: 1)
        let loss = try BatchLoss(
            logProbabilities, batch: batch, found: findings(of: teachers, batch: batch, input: input),
            round: findings(of: roundNetwork.map { [$0] } ?? [], batch: batch, input: input),
            configuration: configuration, step: step, priors: priors, device: device)
        let value = Double(try loss.total.item())
        guard value.isFinite else {
            throw MethodError(
                .training, "the loss is no number at step \(step): lower the learning rate or check the priors")
        }
        try optimizer.clearGradients()
        try loss.total.backward()
        let norm = try optimizer.clipGradients(norm: configuration.gradientNorm ?? .infinity)
        let rate = configuration.rate(step: step)
        // Sharp log-probabilities may overflow in a single gradient; that step is left out rather than the run spoilt.
        if norm.isFinite {
            try optimizer.step(learningRate: rate)
            try updateAverage()
        }
        let text =
            "\(rate),\(value),\(try loss.coarse.item()),\(try loss.hints.item()),\(try loss.taught.item()),\(norm)"
        return (text, value)
    }

    /// log p of what networks find on average, with what else speaks for the last label; nil where there are none.
    private func findings(of networks: [UNet], batch: BlockBatch, input: Tensor) throws -> Tensor? {
        guard !networks.isEmpty else { return nil }
        let shape = input.shape
        return try withoutGradients {
            let seen = try batch.teacherTensor(device: device) ?? input
            var sum: Tensor?
            for network in networks {
                let probabilities = try network(seen, isTraining: false).logSoftmax(dimension: 1).exponential()
                sum = try sum.map { try $0 + probabilities } ?? probabilities
            }
            // Averages of saturated networks reach 0: the floor keeps their logarithm finite, and within
            // the 14 units of log-odds that what else speaks for a label can overcome.
            let found = try sum.map { try ($0 * (1 / Double(networks.count)) + 1e-6).logarithm() }
            guard case .networks(_, let weight, _) = configuration.objective.teaching, weight != 0,
                !batch.evidence.isEmpty
            else { return found }
            let (labels, pixels) = (configuration.architecture.labels, shape[2] * shape[3])
            var evidence = [Float](repeating: 0, count: shape[0] * labels * pixels)
            for image in 0..<shape[0] {
                let target = (image * labels + labels - 1) * pixels
                for i in 0..<pixels { evidence[target + i] = Float(weight) * batch.evidence[image * pixels + i] }
            }
            let added = try Tensor.from(evidence, shape: [shape[0], labels, shape[2], shape[3]], device: device)
            return try found.map { try ($0 + added).logSoftmax(dimension: 1) }
        }
    }

    /// Moves the averaged weights; early on by more, so that the random start is soon forgotten.
    private func updateAverage() throws {
        guard let average, let decay = configuration.averaging else { return }
        let kept = min(decay, Double(step) / Double(step + 10))
        for (target, source) in zip(average.tensors, network.tensors) {
            try withoutGradients {
                try target.tensor.scaleInPlace(kept)
                try target.tensor.addInPlace(source.tensor, scaledBy: 1 - kept)
            }
        }
    }

    // MARK: Checkpoints

    private var checkpointTensors: [NamedTensor] {
        func named(_ prefix: String, _ tensors: [NamedTensor]) -> [NamedTensor] {
            tensors.map { NamedTensor(name: "\(prefix).\($0.name)", tensor: $0.tensor, isTrained: false) }
        }
        return named("network", network.tensors) + (average.map { named("average", $0.tensors) } ?? [])
            + (roundNetwork.map { named("teacher", $0.tensors) } ?? []) + optimizer.state()
    }

    /// The settings as text; a checkpoint of other settings is not gone on from.
    private func settings() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var compared = configuration
        compared.steps = 0
        return String(decoding: try encoder.encode(compared) + encoder.encode(priors), as: UTF8.self) + source.identity
    }

    /// Changes with the teachers' weights; empty where there are none.
    private func teachersIdentity() throws -> String {
        guard !teachers.isEmpty else { return "" }
        var fingerprint = Fingerprint()
        for named in teachers.flatMap(\.tensors) {
            for value in try named.tensor.values() { fingerprint.add(Double(value)) }
        }
        return fingerprint.text
    }

    private func writeCheckpoint(_ folder: ModelFolder) throws {
        do {
            try Data((Trainer.metricsHeader + "\n" + rows.joined(separator: "\n") + "\n").utf8)
                .write(to: folder.metrics, options: .atomic)
            try Safetensors.write(
                checkpointTensors,
                metadata: [
                    "step": String(step), "settings": try settings(), "teachers": try teachersIdentity(),
                ], to: folder.checkpoint)
        } catch let error where !(error is TorchError) {
            throw MethodError(
                .training, "cannot write to \(folder.url.path): \(FileFailure.reason(error))", cause: error)
        }
    }

    private func readCheckpoint(_ folder: ModelFolder) throws {
        guard FileManager.default.fileExists(atPath: folder.checkpoint.path) else { return }
        let metadata = try Safetensors.metadata(of: folder.checkpoint)
        guard let saved = metadata["step"].flatMap(Int.init), saved > 0 else {
            throw MethodError(.model, "\(folder.checkpoint.path) is no checkpoint: delete it or train without --resume")
        }
        // What other teachers taught is no start: the student begins anew.
        guard metadata["teachers"] == (try teachersIdentity()) else { return }
        guard metadata["settings"] == (try settings()) else {
            throw MethodError(
                .model,
                "\(folder.checkpoint.path) was made with other settings, priors or data: give the same ones, or train without --resume"
            )
        }
        if configuration.hasRound(at: saved) { roundNetwork = try network.copied(to: device) }
        try Safetensors.read(folder.checkpoint, into: checkpointTensors)
        step = saved
        optimizer.resume(atStep: saved)
        let text = (try? String(contentsOf: folder.metrics, encoding: .utf8)) ?? ""
        rows = text.split(separator: "\n").dropFirst().map(String.init)
            .filter { ($0.split(separator: ",").first.flatMap { Int($0) } ?? .max) <= saved }
    }
}
