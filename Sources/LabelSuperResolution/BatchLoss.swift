internal import Torch

/// The loss of one batch and its parts, all scalars:
///
///     λ_sr · coarse + λ_colour · colour + λ_hr · fine
///
/// coarse is the criterion's own part, colour the cross-entropy on pixels that colour labels, fine that on pixels of known
/// fine label; in self-training fine is the cross-entropy with what the teachers find, and its weight λ_self.
struct BatchLoss {
    let coarse: Tensor
    let colour: Tensor
    let fine: Tensor
    let total: Tensor

    /// - Parameters:
    ///   - logProbabilities: log-softmax of the network, `NLHW`.
    ///   - teacher: log p of what earlier networks find, for criteria that learn from them.
    ///   - step: from 1; early on, the logarithm of statistics matching may have less weight.
    init(
        _ logProbabilities: Tensor, batch: BlockBatch, teacher: Tensor?, configuration: TrainingConfiguration,
        step: Int, priors: LabelPriors, device: Device
    ) throws {
        let ramp = configuration.logarithmRamp
        let criterion =
            step < ramp
            ? configuration.criterion.scalingLogarithm(by: Double(step) / Double(ramp)) : configuration.criterion
        coarse = try criterion.coarseLoss(
            logProbabilities, classes: batch.classes, layout: batch.layout, priors: priors, teacher: teacher,
            device: device)
        colour =
            try criterion.usesCoarseLabels
            ? PixelCrossEntropy.loss(logProbabilities, labels: batch.pixelLabels, device: device) : coarse * 0
        if case .selfTraining = criterion, let teacher {
            fine = try criterion.teacherLoss(
                logProbabilities, teacher: teacher, classes: batch.classes, layout: batch.layout, priors: priors,
                device: device)
        } else {
            fine =
                try criterion.needsFineLabels
                ? PixelCrossEntropy.loss(logProbabilities, labels: batch.fineLabels, device: device) : coarse * 0
        }
        total =
            try coarse * configuration.coarseWeight + colour * configuration.pixelWeight
            + fine * configuration.fineWeight
    }
}
