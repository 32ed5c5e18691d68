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
        try self.init(
            TorchSegmentationNetwork(networks), quantizing: networks, on: blocks, priors: priors,
            temperature: temperature)
    }

    /// Calibrates and validates any network.
    ///
    /// - Parameters:
    ///   - network: without temperature.
    ///   - quantizing: the members that it is made of, where it can be computed in bytes.
    ///   - temperature: the one to take; nil to fit it to the held-out blocks.
    public init(
        _ network: any SegmentationNetwork, quantizing networks: [UNet] = [], on blocks: some CalibrationBlocks,
        priors: LabelPriors, temperature: Double? = nil
    ) throws {
        calibration = try NetworkCalibration(network, on: blocks, priors: priors, temperature: temperature)
        let batches = try blocks.validationBatches()
        validation = try ValidationMetrics.measure(
            TemperedNetwork(network: network, temperature: calibration.temperature), batches: batches, priors: priors)
        let extremes = networks.isEmpty ? [] : blocks.extremeBatches()
        let threshold = calibration.untemperedThreshold
        let found = try networks.compactMap {
            try Quantization.calibrate($0, batches: batches, extremes: extremes, threshold: threshold)
        }
        // Of all networks or of none.
        quantizations = !found.isEmpty && found.count == networks.count ? found : nil
    }
}

extension ModelDescription {
    /// The description of a finished model.
    public init(
        settings: Settings, coarseClasses: [String], priors: LabelPriors, training: TrainingConfiguration, steps: Int,
        assessment: NetworkAssessment, versions: [String: String]
    ) {
        self.init(
            settings: settings, coarseClasses: coarseClasses, priors: priors, training: training, steps: steps,
            temperature: assessment.calibration.temperature, threshold: assessment.calibration.threshold,
            validation: assessment.validation, quantizations: assessment.quantizations, versions: versions)
    }
}
