public import Foundation
public import LabelSuperResolution
public import Torch
internal import WholeSlide

/// A trained lymphocyte model, ready to run.
public struct SegmentationModel: Sendable {
    public let network: any SegmentationNetwork
    public let description: ModelDescription
    public let encoding: InputEncoding
    /// Changes with the weights.
    public let fingerprint: String
    public let folder: URL

    /// Loads a model folder.
    ///
    /// - Throws: where the folder is incomplete, cut off, or no lymphocyte model.
    public init(_ folder: URL, device: Device = .cpu, engine: InferenceEngine = .automatic) throws {
        let files = ModelFolder(folder)
        let loaded = try files.load(device: device, engine: engine)
        guard SlideScale.possible.contains(loaded.description.micronsPerPixel) else {
            throw WorkError(
                .model,
                "\(files.description.path) says 'micronsPerPixel' \(loaded.description.micronsPerPixel): between "
                    + "\(SlideScale.possible.lowerBound) and \(SlideScale.possible.upperBound) µm are possible")
        }
        network = loaded.network
        description = loaded.description
        encoding = try InputEncoding(of: loaded.description)
        fingerprint = try files.fingerprint()
        self.folder = folder
    }

    /// The probability at which cells end: where the training slides' regions hold as many lymphocyte pixels as their coarse
    /// classes lead to expect (``AreaThreshold``); a half where there were none.
    public var threshold: Double { description.threshold ?? 0.5 }

    /// A model from parts, for tests and experiments.
    public init(
        network: any SegmentationNetwork, description: ModelDescription, encoding: InputEncoding, fingerprint: String,
        folder: URL
    ) {
        self.network = network
        self.description = description
        self.encoding = encoding
        self.fingerprint = fingerprint
        self.folder = folder
    }
}
