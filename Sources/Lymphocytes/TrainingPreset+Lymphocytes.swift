public import LabelSuperResolution

extension TrainingPreset {
    /// The preset for lymphocytes in ``InputEncoding/rgbStains``.
    ///
    /// `fast` builds on darkness: 5 units of log-odds per unit of haematoxylin OD, averaged over the middle of a nucleus. The
    /// weight was chosen on CoNSeP slide a (docs/results/ablations.md). `paper` has no such term.
    public func lymphocytes(seed: UInt64) -> TrainingConfiguration {
        let encoding = InputEncoding.rgbStains
        var configuration = configuration(inputChannels: encoding.channels, labels: 2, seed: seed)
        if self == .fast {
            configuration.architecture.prior = ChannelPrior(
                channel: encoding.hematoxylinChannel, weight: 5 / Double(encoding.stainScale),
                radius: Int((PatchEvaluation.discRadius / Training.micronsPerPixel).rounded()))
        }
        return configuration
    }
}
