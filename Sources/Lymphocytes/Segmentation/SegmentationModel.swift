public import Foundation
public import LabelSuperResolution
public import Torch

/// A trained lymphocyte model, ready to run.
public struct SegmentationModel: Sendable {
    public let network: any SegmentationNetwork
    public let description: LymphocyteModelDescription
    /// Changes with the weights.
    public let fingerprint: String
    public let folder: URL

    /// Loads a model folder.
    ///
    /// - Throws: where the folder is incomplete, cut off, or no lymphocyte model.
    public init(_ folder: URL, device: Device = .cpu, engine: InferenceEngine = .automatic) throws {
        let files = ModelFolder(folder)
        (network, description) = try files.load(LymphocyteModelSettings.self, device: device, engine: engine)
        fingerprint = try files.fingerprint()
        self.folder = folder
    }

    public var encoding: InputEncoding { description.settings.inputEncoding }
    /// µm per pixel of the network's input.
    public var micronsPerPixel: Double { description.settings.micronsPerPixel }

    /// The probability at which cells end: where the training slides' regions hold as many lymphocyte pixels as their coarse
    /// classes lead to expect (``AreaThreshold``); a half where there were none.
    public var threshold: Double { description.threshold ?? 0.5 }

    /// A model from parts, for tests and experiments.
    public init(
        network: any SegmentationNetwork, description: LymphocyteModelDescription, fingerprint: String, folder: URL
    ) {
        self.network = network
        self.description = description
        self.fingerprint = fingerprint
        self.folder = folder
    }
}
