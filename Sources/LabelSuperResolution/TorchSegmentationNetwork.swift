internal import Foundation
public import Torch

/// Inference with libtorch, by one network or by several whose probabilities are averaged.
///
/// The mean of the probabilities is the posterior over the members; a mean of log-odds would let one member's saturated
/// "no" outvote all others.
///
/// `@unchecked Sendable`: the weights are never changed after init, and libtorch allows concurrent forward passes over
/// constant tensors; batch norm in evaluation mode only reads its statistics.
public final class TorchSegmentationNetwork: SegmentationNetwork, @unchecked Sendable {
    public var engineName: String { "libtorch" }

    private let members: [UNet]
    private let device: Device
    private let temperature: Float

    public let gridMultiple: Int
    public let halo: Int

    /// Takes over networks of one architecture; the caller must not train them any further.
    ///
    /// - Parameter temperature: divides the log-odds of the whole; see ``TemperatureScaling``.
    public init(_ members: [UNet], temperature: Double = 1, device: Device = .cpu) {
        precondition(!members.isEmpty, "an ensemble has at least one member")
        self.members = members
        self.device = device
        self.temperature = Float(temperature)
        gridMultiple = members[0].architecture.gridMultiple
        halo = members[0].architecture.halo
    }

    public func logOdds(_ batch: ImageBatch) throws -> [Float] {
        try withoutGradients {
            let input = try Tensor.from(
                batch.values, shape: [batch.count, batch.channels, batch.height, batch.width], device: device
            ).channelsLast()
            guard members.count > 1 else {
                let values = try TorchSegmentationNetwork.logOdds(of: members[0](input, isTraining: false))
                return try checked(temperature == 1 ? values : values.map { $0 / temperature })
            }
            // p and 1 − p are summed apart: near 1, p alone would lose what log-odds still tell.
            let pixels = batch.count * batch.height * batch.width
            var (present, absent) = ([Float](repeating: 0, count: pixels), [Float](repeating: 0, count: pixels))
            for member in members {
                let values = try TorchSegmentationNetwork.logOdds(of: member(input, isTraining: false))
                for i in values.indices {
                    // Beyond ± 80, e^x leaves float32.
                    let value = max(-80, min(80, values[i]))
                    present[i] += 1 / (1 + exp(-value))
                    absent[i] += 1 / (1 + exp(value))
                }
            }
            return try checked((0..<pixels).map { (log(present[$0]) - log(absent[$0])) / temperature })
        }
    }

    private func checked(_ values: [Float]) throws -> [Float] {
        guard values.allSatisfy(\.isFinite) else { throw MethodError.notANumber }
        return values
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
