internal import Foundation
public import LabelSuperResolution

/// Temperature and threshold of a finished network, from coarse labels.
public struct NetworkCalibration: Sendable {
    public let temperature: Double
    /// After the temperature; nil where there is no region.
    public let threshold: Double?

    /// - Parameters:
    ///   - network: without temperature.
    ///   - temperature: the one to take; nil to fit it to the held-out regions.
    public init(
        _ network: any SegmentationNetwork, on blocks: some CalibrationBlocks, priors: LabelPriors,
        temperature: Double? = nil
    ) throws {
        self.temperature =
            try temperature
            ?? TemperatureScaling.fit(
                BlockHistograms(network, batches: blocks.validationBatches(), priors: priors))
        threshold = AreaThreshold.fit(
            try BlockHistograms(network, batches: blocks.calibrationBatches, priors: priors),
            regions: blocks.countPerClass, temperature: self.temperature)
    }

    /// The threshold in the probabilities of the network without temperature; a half where there is none.
    public var untemperedThreshold: Double {
        guard let threshold else { return 0.5 }
        return 1 / (1 + pow(1 / threshold - 1, temperature))
    }
}

/// A network whose log-probabilities are divided by a temperature.
public struct TemperedNetwork: SegmentationNetwork {
    let network: any SegmentationNetwork
    let temperature: Double

    public init(network: any SegmentationNetwork, temperature: Double) {
        self.network = network
        self.temperature = temperature
    }

    public var engineName: String { network.engineName }
    public var gridMultiple: Int { network.gridMultiple }
    public var halo: Int { network.halo }

    public var labels: Int { network.labels }

    public func scores(_ batch: ImageBatch) throws -> LabelScores { try network.scores(batch).tempered(temperature) }
}
