public import LabelSuperResolution

/// How images of slides are spoilt for a student, while its teachers see them as they are (noisy student, Xie et al. 2020):
/// it must find the same in a picture that was taken otherwise.
public struct ImageNoise: Codable, Equatable, Sendable {
    /// Takes the place of ``SlideSampling/stainJitter``, 0 … 1.
    public var stainJitter: Double
    /// Half of the images are smoothed by a Gaussian whose standard deviation is drawn from 0 … this, in pixels.
    public var blur: Double
    /// Values of 0 … 1 are raised to a power drawn from 1 ± this; below 1.
    public var gamma: Double
    /// Gaussian noise is added whose standard deviation is drawn from 0 … this, in levels of 255.
    public var deviation: Double

    /// What another scanner or another laboratory might have made of a slide: half as much again of stain as in
    /// ``TrainingPreset/fast``, focus, tone and noise by guess, not measured on scanners.
    public static let otherScanner = ImageNoise(stainJitter: 0.45, blur: 1, gamma: 0.2, deviation: 6)
}

/// How training images are drawn from slides, and what is done to them.
public struct SlideSampling: Codable, Equatable, Sendable {
    /// Coarse classes are drawn in proportion to their frequency to this power: 0 draws each equally often (paper
    /// Appendix A), 1 as they come. In between, the many regions without lymphocytes show enough of their variety.
    public var frequencyExponent: Double
    /// The share of each image's pixels that colour labels as background.
    public var colorLabelFraction = 0.2
    /// κ: in a block of a known class, colour labels all pixels but the darkest κ · η; 0 labels the same share everywhere.
    public var colorDarkestMultiple: Double
    /// Stain augmentation: factors of haematoxylin and eosin are drawn from 1 ± this, offsets from ± a sixth of it.
    public var stainJitter: Double
    /// The share of regions whose fine labels are used.
    public var fineFraction = 1.0
    /// What a student's images suffer that its teachers' do not; nil for none.
    public var studentNoise: ImageNoise?
    /// Blocks lie off their coarse labels' grid by up to this share of a region, as where patches are drawn without regard to it,
    /// and may then reach into held-out regions. Only to be measured.
    public var gridOffset = 0.0
    /// Whether images are laid down in one of eight orientations. Only to be measured without.
    public var isTurned = true
    /// The share of images that show tissue without any label; nil for none.
    public var unlabelledShare: Double?
}

/// Settings of a lymphocyte model: of its networks, and of how their images are drawn.
public struct LymphocyteSettings: Codable, Equatable, Sendable {
    public var training: TrainingConfiguration
    public var sampling: SlideSampling

    /// The same for a training whose only labels are counted squares: each image has one labelled block instead of four, so a step
    /// sees more images, which are smaller; some show tissue without a label.
    func forSquares() -> LymphocyteSettings {
        var settings = self
        settings.training.batchSize = settings.training.batchSize * 8 / 3
        if settings.sampling.unlabelledShare == nil { settings.sampling.unlabelledShare = 0.25 }
        if settings.training.student?.unknownWeight == nil { settings.training.student?.unknownWeight = 1 }
        return settings
    }
}

extension TrainingPreset {
    /// The preset for lymphocytes in ``InputEncoding/rgbStains``.
    ///
    /// `fast` builds on darkness: 5 units of log-odds per unit of haematoxylin OD, averaged over the middle of a nucleus. The
    /// weight was chosen on CoNSeP slide a (docs/results/ablations.md). Its student's teachers are weighed with
    /// ``NucleusShape/roundness(of:)``. `paper` has neither.
    public func lymphocytes(seed: UInt64) -> LymphocyteSettings {
        let encoding = InputEncoding.rgbStains
        var training = configuration(inputChannels: encoding.channels, labels: 2, seed: seed)
        guard self == .fast else {
            return LymphocyteSettings(
                training: training,
                sampling: SlideSampling(frequencyExponent: 0, colorDarkestMultiple: 0, stainJitter: 0))
        }
        training.architecture.prior = ChannelPrior(
            channel: encoding.hematoxylinChannel, weight: 5 / Double(encoding.stainScale),
            radius: Int((PatchEvaluation.discRadius / LymphocyteTraining.micronsPerPixel).rounded()))
        training.student?.evidenceWeight = NucleusShape.evidenceWeight
        return LymphocyteSettings(
            training: training,
            sampling: SlideSampling(frequencyExponent: 0.5, colorDarkestMultiple: 1.5, stainJitter: 0.3))
    }
}
