internal import Foundation

/// What an application keeps in `model.json` beside what every model has: how its input is made, its scale, its training data and
/// how it drew from them.
public protocol ModelSettings: Codable, Sendable {
    /// The application's name, which stands in the file: a model of another one is refused by it.
    static var application: String { get }

    /// What is impossible in the settings, such as `'micronsPerPixel' has an impossible value`; nil where nothing is.
    func flaw(for architecture: UNetArchitecture) -> String?

    /// The description in today's layout of one that an older version of the application wrote; nil where it cannot be read.
    static func upgraded(_ description: [String: Any], from format: Int) -> [String: Any]?
}

extension ModelSettings {
    public static func upgraded(_ description: [String: Any], from format: Int) -> [String: Any]? { nil }
}

/// What `model.json` says of a model: enough to run it, to judge it and to train it again.
public struct ModelDescription<Settings: ModelSettings>: Codable, Sendable {
    public var format: Int
    public var application: String
    /// What only the application understands.
    public var settings: Settings
    public var architecture: UNetArchitecture
    /// Networks of that architecture whose probabilities are averaged.
    public var members: Int
    /// Names of the fine labels in the order of the outputs.
    public var labels: [String]
    /// Names of the coarse classes in the order of the priors.
    public var coarseClasses: [String]
    public var priors: LabelPriors
    public var training: TrainingConfiguration
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
        case format, application, settings, architecture, members, labels, coarseClasses, priors, training, steps
        case temperature, threshold, validation, quantizations, versions
    }

    public init(
        settings: Settings, coarseClasses: [String], priors: LabelPriors, training: TrainingConfiguration, steps: Int,
        temperature: Double = 1, threshold: Double? = nil, validation: ValidationMetrics? = nil,
        quantizations: [Quantization]? = nil, versions: [String: String] = [:]
    ) {
        format = ModelFolder.format
        application = Settings.application
        self.settings = settings
        architecture = training.architecture
        members = training.student == nil ? training.members : 1
        labels = priors.labels
        self.coarseClasses = coarseClasses
        self.priors = priors
        self.training = training
        self.steps = steps
        self.temperature = temperature
        self.threshold = threshold
        self.validation = validation
        self.quantizations = quantizations
        self.versions = versions
    }
}
