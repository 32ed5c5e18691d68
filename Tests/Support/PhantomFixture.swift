public import Foundation
public import LabelSuperResolution
public import Lymphocytes
import Phantoms
internal import Torch

/// A small phantom set, made once a test process.
public enum PhantomFixture {
    /// Two slides of 800 px.
    public static let folder: URL = {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("graticule-phantom-\(ProcessInfo.processInfo.processIdentifier)")
        do {
            try PhantomSet(folder: folder, slides: 2, size: 800, seed: 3).write { _, _ in }
        } catch {
            fatalError("the phantom fixture cannot be made: \(error)")
        }
        return folder
    }()

    /// A model with random weights: enough where only the plumbing is under test.
    public static func model(widths: [Int] = [4, 6], folder: URL) throws -> SegmentationModel {
        var configuration = TrainingPreset.fast.configuration(inputChannels: 5, labels: 2, seed: 5)
        configuration.architecture.widths = widths
        configuration.members = 1
        return SegmentationModel(
            network: TorchSegmentationNetwork([try UNet(configuration.architecture, seed: 5)]),
            description: try description(configuration), fingerprint: "test", folder: folder)
    }

    /// A model folder with random weights, loaded from disk, as exports that run the network again need it.
    public static func savedModel(_ folder: URL) throws -> SegmentationModel {
        var configuration = TrainingPreset.fast.configuration(inputChannels: 5, labels: 2, seed: 5)
        configuration.architecture.widths = [4, 6]
        configuration.architecture.prior = ChannelPrior(channel: 3, weight: 8, radius: 2)
        configuration.members = 1
        configuration.student = nil
        let files = ModelFolder(folder)
        try files.create()
        try Safetensors.write(
            UNet(configuration.architecture, seed: 5).tensors, metadata: ["format": "pt"], to: files.weights)
        try JSONEncoder().encode(description(configuration)).write(to: files.description)
        return try SegmentationModel(folder)
    }

    /// A model that calls dark pixels lymphocyte, without any training.
    public static func darknessModel(folder: URL, failAfter calls: Int? = nil) throws -> SegmentationModel {
        let configuration = TrainingPreset.fast.configuration(inputChannels: 5, labels: 2, seed: 5)
        let network = DarknessNetwork(failAfter: calls)
        let description = try description(configuration)
        try JSONEncoder().encode(description).write(to: folder.appendingPathComponent("model.json"))
        return SegmentationModel(
            network: network, description: description, fingerprint: "darkness", folder: folder)
    }

    private static func description(_ configuration: TrainingConfiguration) throws -> LymphocyteModelDescription {
        LymphocyteModelDescription(
            settings: LymphocyteModelSettings(), coarseClasses: ProbabilityClasses().names,
            priors: try LabelPriors.defaultCurve(label: "lymphocyte", classCount: 10), training: configuration, steps: 0
        )
    }
}

/// Log-odds straight from the haematoxylin channel; can be made to fail, as a process does that is killed.
///
/// `@unchecked Sendable`: the count of calls is only changed under the lock.
public final class DarknessNetwork: SegmentationNetwork, @unchecked Sendable {
    public struct Failure: Error {}

    public let engineName = "darkness"
    public let gridMultiple = 4
    public let halo = 32
    private let lock = NSLock()
    private var callsLeft: Int?

    public init(failAfter calls: Int?) {
        callsLeft = calls
    }

    public let labels = 2

    public func scores(_ batch: ImageBatch) throws -> LabelScores {
        try lock.withLock {
            guard callsLeft != 0 else { throw Failure() }
            callsLeft = callsLeft.map { $0 - 1 }
        }
        let pixels = batch.height * batch.width
        var result: [Float] = []
        for image in 0..<batch.count {
            // Channel 3 is 2 h − ½: the threshold lies at a haematoxylin OD of 0.4.
            let start = (image * batch.channels + 3) * pixels
            for value in batch.values[start..<(start + pixels)] { result.append(20 * (value - 0.3)) }
        }
        return LabelScores(of: batch, logOdds: result)
    }
}
