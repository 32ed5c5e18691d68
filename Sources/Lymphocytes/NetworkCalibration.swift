internal import Foundation
package import LabelSuperResolution

/// Temperature and threshold of a finished network, from the coarse labels of its training slides.
package struct NetworkCalibration {
    package let temperature: Double
    /// After the temperature; nil where there is no region.
    package let threshold: Double?

    /// - Parameters:
    ///   - network: without temperature.
    ///   - temperature: the one to take; nil to fit it to the held-out regions.
    package init(
        _ network: any SegmentationNetwork, set: TrainingSet, priors: LabelPriors, temperature: Double? = nil
    ) throws {
        self.temperature =
            try temperature
            ?? TemperatureScaling.fit(BlockHistograms(network, batches: set.validationBatches()), priors: priors)
        threshold = AreaThreshold.fit(
            try BlockHistograms(network, batches: set.calibrationBatches), regions: set.allRegionsPerClass,
            temperature: self.temperature, priors: priors)
    }

    /// The threshold in the probabilities of the network without temperature; a half where there is none.
    package var untemperedThreshold: Double {
        guard let threshold else { return 0.5 }
        return 1 / (1 + pow(1 / threshold - 1, temperature))
    }
}

/// A network whose log-probabilities are divided by a temperature.
package struct TemperedNetwork: SegmentationNetwork {
    let network: any SegmentationNetwork
    let temperature: Double

    package init(network: any SegmentationNetwork, temperature: Double) {
        self.network = network
        self.temperature = temperature
    }

    package var engineName: String { network.engineName }
    package var gridMultiple: Int { network.gridMultiple }
    package var halo: Int { network.halo }

    package var labels: Int { network.labels }

    package func scores(_ batch: ImageBatch) throws -> LabelScores { try network.scores(batch).tempered(temperature) }
}
