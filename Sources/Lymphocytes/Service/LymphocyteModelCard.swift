internal import CoarseTraining
public import Foundation
public import LabelSuperResolution

/// What there is to say of a model at hand, or of one that is being trained.
public struct LymphocyteModelCard: Encodable, Sendable {
    public let name: String
    /// Whether its training has ended; else what follows is nil, but for the curves and the preview.
    public let isFinished: Bool
    public let coarseClasses: [String]?
    /// η and ρ of lymphocytes, by class.
    public let means: [Double]?
    public let deviations: [Double]?
    /// Squares and regions that it was trained or held out on.
    public let squares: Int?
    public let slides: [String]?
    public let threshold: Double?
    public let validation: ValidationMetrics?
    public let versions: [String: String]?
    /// The loss by step, a curve for each network.
    public let curves: [[[Double]]]
    /// Step of the newest preview; nil where there is none yet.
    public let preview: Int?

    public init(_ folder: ModelFolder) {
        let description = try? folder.readDescription(LymphocyteModelSettings.self)
        let record = TrainingRecord(folder)
        let last = (description?.labels.count ?? 1) - 1
        name = folder.url.lastPathComponent
        isFinished = description != nil
        coarseClasses = description?.coarseClasses
        means = description?.priors.means.map { $0[last] }
        deviations = description?.priors.deviations.map { $0[last] }
        squares = description?.settings.slides.reduce(0) { $0 + $1.regions + $1.validationRegions }
        slides = description?.settings.slides.map(\.name)
        threshold = description?.threshold
        validation = description?.validation
        versions = description?.versions
        curves = record.curves
        preview = record.newestPreview?.step
    }

    /// The newest picture of a model's training.
    public static func newestPreview(_ folder: ModelFolder) -> URL? { TrainingRecord(folder).newestPreview?.file }
}
