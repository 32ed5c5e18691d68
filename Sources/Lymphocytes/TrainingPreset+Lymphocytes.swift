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

extension TrainingConfiguration {
    /// The settings of the network that learns from the members, for lymphocytes. What each of the two does is in
    /// docs/results/ablations.md.
    ///
    /// - Parameters:
    ///   - roundness: whether its teachers' log-odds are raised by 20 for each OD of ``NucleusShape/roundness(of:)``.
    ///   - noise: whether it sees images as another scanner might have given them, while its teachers see them as they are.
    public func lymphocyteStudent(roundness: Bool = true, noise: Bool = false) -> TrainingConfiguration {
        var settings = student
        if roundness { settings.evidenceWeight = NucleusShape.evidenceWeight }
        if noise { settings.noise = .otherScanner }
        return settings
    }
}

extension ImageNoise {
    /// What another scanner or another laboratory might have made of a slide: half as much again of stain as in
    /// ``TrainingPreset/fast``, focus, tone and noise by guess, not measured on scanners.
    package static let otherScanner = ImageNoise(stainJitter: 0.45, blur: 1, gamma: 0.2, deviation: 6)
}
