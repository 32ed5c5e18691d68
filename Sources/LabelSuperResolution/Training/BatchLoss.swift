internal import Failures
internal import Torch

/// The loss of one batch and its parts, all scalars:
///
///     λ_sr · coarse + λ_hint · hints + λ · taught
///
/// coarse is the criterion's loss, hints the cross-entropy on pixels that a hint labels, taught that with fine labels (λ = λ_hr) or
/// with what trained networks find (λ = λ_self), as the objective's ``Teaching`` says.
struct BatchLoss {
    let coarse: Tensor
    let hints: Tensor
    let taught: Tensor
    let total: Tensor

    /// - Parameters:
    ///   - logProbabilities: log-softmax of the network, `NLHW`.
    ///   - found: log p of what the teaching networks find; nil where none teach.
    ///   - round: log p of the last round's network of expectation maximisation; nil before the first.
    ///   - step: from 1; early on, the logarithm of statistics matching may have less weight.
    init(
        _ logProbabilities: Tensor, batch: BlockBatch, found: Tensor? = nil, round: Tensor? = nil,
        configuration: TrainingConfiguration, step: Int, priors: LabelPriors, device: Device
    ) throws {
        let (objective, ramp) = (configuration.objective, configuration.logarithmRamp)
        let criterion =
            step < ramp
            ? objective.criterion?.scalingLogarithm(by: Double(step) / Double(ramp)) : objective.criterion
        let blocks = try batch.blocks.map { try priors.expectation(of: $0) }
        let nothing = try Tensor.full(0, shape: [], device: device)
        coarse =
            try criterion?.loss(
                logProbabilities, blocks: blocks, weights: batch.blockWeights, shapes: batch.shapes, round: round,
                device: device)
            ?? nothing
        hints =
            try criterion == nil
            ? nothing : PixelCrossEntropy.loss(logProbabilities, labels: batch.hints, device: device)
        switch objective.teaching {
        case .none: taught = nothing
        case .fineLabels:
            taught = try PixelCrossEntropy.loss(logProbabilities, labels: batch.fineLabels, device: device)
        case .networks(_, _, let unknownWeight):
            guard let found else { throw MethodError(.training, "there is no network to learn from") }
            taught = try PixelTargets.rescaled(
                found, blocks: blocks, weights: batch.blockWeights, unknownWeight: unknownWeight ?? 0,
                shapes: batch.shapes, device: device
            ).crossEntropy(logProbabilities)
        }
        total =
            try coarse * objective.coarseWeight + hints * configuration.hintWeight + taught * objective.teaching.weight
    }
}
