public import Torch

/// Inference with libtorch, by one network or by several whose log-odds are averaged.
///
/// `@unchecked Sendable`: the weights are never changed after init, and libtorch allows concurrent forward passes over
/// constant tensors; batch norm in evaluation mode only reads its statistics.
public final class TorchSegmentationNetwork: SegmentationNetwork, @unchecked Sendable {
    private let members: [UNet]
    private let device: Device

    public let architecture: UNetArchitecture

    /// Takes over networks of one architecture; the caller must not train them any further.
    public init(_ members: [UNet], device: Device = .cpu) {
        precondition(!members.isEmpty, "an ensemble has at least one member")
        self.members = members
        self.device = device
        architecture = members[0].architecture
    }

    public func logOdds(_ batch: ImageBatch) throws -> [Float] {
        try withoutGradients {
            let input = try Tensor.from(
                batch.values, shape: [batch.count, batch.channels, batch.height, batch.width], device: device
            ).channelsLast()
            var sum = [Float](repeating: 0, count: batch.count * batch.height * batch.width)
            for member in members {
                let values = try TorchSegmentationNetwork.logOdds(of: member(input, isTraining: false))
                for i in sum.indices { sum[i] += values[i] }
            }
            guard sum.allSatisfy(\.isFinite) else {
                throw MethodError(
                    .model, "the network gives values that are no numbers: its weights are damaged; train it again")
            }
            let share = 1 / Float(members.count)
            return members.count == 1 ? sum : sum.map { $0 * share }
        }
    }

    /// log p/(1 − p) of the last label from the scores of all, `NLHW`.
    private static func logOdds(of scores: Tensor) throws -> [Float] {
        let shape = scores.shape
        let (labels, pixels) = (shape[1], shape[2] * shape[3])
        let last = try scores.narrowed(dimension: 1, start: labels - 1, length: 1)
        if labels == 2 {
            return try (last - scores.narrowed(dimension: 1, start: 0, length: 1)).values()
        }
        let all = try scores.logSoftmax(dimension: 1).values()
        var result = [Float](repeating: 0, count: shape[0] * pixels)
        for image in 0..<shape[0] {
            for pixel in 0..<pixels {
                let logP = Double(all[(image * labels + labels - 1) * pixels + pixel])
                let rest = max(1e-12, 1 - logP.exponential)
                result[image * pixels + pixel] = Float(logP - rest.naturalLogarithm)
            }
        }
        return result
    }
}
