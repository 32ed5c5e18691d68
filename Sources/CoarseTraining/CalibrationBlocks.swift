public import LabelSuperResolution

/// What a finished network is calibrated, judged and quantised on. Only coarse labels enter.
public protocol CalibrationBlocks {
    associatedtype Batches: Sequence<BlockBatch>

    /// Held-out blocks, always the same.
    func validationBatches() throws -> [BlockBatch]
    /// Blocks of every class on which the threshold is found, always the same, read as they are asked for.
    var calibrationBatches: Batches { get }
    /// All blocks of each class.
    var countPerClass: [Int] { get }
    /// Input as far from the usual as there can be, for the limits of inference in bytes.
    func extremeBatches() -> [BlockBatch]
}

/// What is known of a finished network beside its weights.
public struct NetworkAssessment: Sendable {
    public let calibration: NetworkCalibration
    /// Of the network after its temperature; nil where nothing was held out.
    public let validation: ValidationMetrics?
    /// Of each member, for inference in bytes; nil where there was nothing to find them on.
    public let quantizations: [Quantization]?

    /// Calibrates, validates and quantises.
    ///
    /// - Parameters:
    ///   - networks: members of the model, whose probabilities are averaged.
    ///   - temperature: the one to take; nil to fit it to the held-out blocks.
    public init(
        _ networks: [UNet], on blocks: some CalibrationBlocks, priors: LabelPriors, temperature: Double? = nil
    ) throws {
        calibration = try NetworkCalibration(
            TorchSegmentationNetwork(networks), on: blocks, priors: priors, temperature: temperature)
        let batches = try blocks.validationBatches()
        validation = try ValidationMetrics.measure(
            TorchSegmentationNetwork(networks, temperature: calibration.temperature), batches: batches, priors: priors)
        quantizations = try NetworkAssessment.quantizations(
            networks, batches: batches, extremes: blocks.extremeBatches(), threshold: calibration.untemperedThreshold)
    }

    /// Scales for inference in bytes, of all networks or of none.
    ///
    /// - Parameter threshold: the probability that decides, of the networks without temperature.
    public static func quantizations(
        _ networks: [UNet], on blocks: some CalibrationBlocks, threshold: Double
    ) throws -> [Quantization]? {
        try quantizations(
            networks, batches: blocks.validationBatches(), extremes: blocks.extremeBatches(), threshold: threshold)
    }

    private static func quantizations(
        _ networks: [UNet], batches: [BlockBatch], extremes: [BlockBatch], threshold: Double
    ) throws -> [Quantization]? {
        let found = try networks.compactMap {
            try Quantization.calibrate($0, batches: batches, extremes: extremes, threshold: threshold)
        }
        return found.count == networks.count ? found : nil
    }
}
