internal import Foundation

/// What `model.json` says of a model: enough to run it, to judge it and to train it again.
public struct ModelDescription: Codable, Sendable {
    /// The version of this file's layout.
    public static let currentFormat = 3

    public var format: Int
    public var architecture: UNetArchitecture
    /// Networks of that architecture whose probabilities are averaged.
    public var members: Int
    /// Names of the fine labels in the order of the outputs.
    public var labels: [String]
    /// How pixels become input channels; the work layer knows the names.
    public var inputEncoding: String
    /// µm per pixel of the network's input.
    public var micronsPerPixel: Double
    public var priors: LabelPriors
    public var training: TrainingConfiguration
    /// Names of the slides that it was trained on, with what was used of each.
    public var slides: [TrainingSlide]
    public var steps: Int
    /// Divides the log-odds; 1 where none was fitted.
    public var temperature: Double
    /// The probability at which objects end (``AreaThreshold``), after the temperature; nil where no coarse label told.
    public var threshold: Double?
    /// Of the last validation on held-out blocks.
    public var validation: ValidationMetrics?
    /// Of each member, for inference in bytes; nil where there was nothing to find it on.
    public var quantizations: [Quantization]?
    /// Versions of the programs that made it.
    public var versions: [String: String]

    enum CodingKeys: String, CodingKey {
        case format, architecture, members, labels, inputEncoding, micronsPerPixel, priors, training, slides, steps
        case temperature, threshold, validation, quantizations, versions
    }

    /// What was used of one slide.
    public struct TrainingSlide: Codable, Equatable, Sendable {
        public var name: String
        public var regions: Int
        public var validationRegions: Int

        public init(name: String, regions: Int, validationRegions: Int) {
            self.name = name
            self.regions = regions
            self.validationRegions = validationRegions
        }
    }

    public init(
        architecture: UNetArchitecture, labels: [String], inputEncoding: String, micronsPerPixel: Double,
        priors: LabelPriors, training: TrainingConfiguration, slides: [TrainingSlide], steps: Int,
        temperature: Double = 1, threshold: Double? = nil, validation: ValidationMetrics?,
        quantizations: [Quantization]? = nil,
        versions: [String: String]
    ) {
        format = ModelDescription.currentFormat
        self.architecture = architecture
        members = training.selfTraining ? 1 : training.members
        self.labels = labels
        self.inputEncoding = inputEncoding
        self.micronsPerPixel = micronsPerPixel
        self.priors = priors
        self.training = training
        self.slides = slides
        self.steps = steps
        self.temperature = temperature
        self.threshold = threshold
        self.validation = validation
        self.quantizations = quantizations
        self.versions = versions
    }
}
