internal import Failures
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

    public let labels: Int
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
        labels = members[0].architecture.labels
        gridMultiple = members[0].architecture.gridMultiple
        halo = members[0].architecture.halo
    }

    public func scores(_ batch: ImageBatch) throws -> LabelScores {
        let values = try withoutGradients {
            let input = try Tensor.from(
                batch.values, shape: [batch.count, batch.channels, batch.height, batch.width], device: device
            ).channelsLast()
            return try labels == 2 ? logOdds(input) : logProbabilities(input)
        }
        guard values.allSatisfy(\.isFinite) else { throw MethodError.notANumber }
        let scores = LabelScores(
            count: batch.count, labels: labels, height: batch.height, width: batch.width, values: values)
        return labels == 2 ? scores : scores.tempered(Double(temperature))
    }

    /// Two labels: one plane does.
    private func logOdds(_ input: Tensor) throws -> [Float] {
        func difference(_ member: UNet) throws -> [Float] {
            let scores = try member(input, isTraining: false)
            return try
                (scores.narrowed(dimension: 1, start: 1, length: 1)
                - scores.narrowed(dimension: 1, start: 0, length: 1)).values()
        }
        guard members.count > 1 else {
            let values = try difference(members[0])
            return temperature == 1 ? values : values.map { $0 / temperature }
        }
        // p and 1 − p are summed apart: near 1, p alone would lose what log-odds still tell.
        let pixels = input.shape[0] * input.shape[2] * input.shape[3]
        var (present, absent) = ([Float](repeating: 0, count: pixels), [Float](repeating: 0, count: pixels))
        for member in members {
            let values = try difference(member)
            for i in values.indices {
                // Beyond ± 80, e^x leaves float32.
                let value = max(-80, min(80, values[i]))
                present[i] += 1 / (1 + exp(-value))
                absent[i] += 1 / (1 + exp(value))
            }
        }
        return (0..<pixels).map { (log(present[$0]) - log(absent[$0])) / temperature }
    }

    /// The logarithm of the members' mean probabilities, `NLHW`.
    private func logProbabilities(_ input: Tensor) throws -> [Float] {
        let each = try members.map { try $0(input, isTraining: false).logSoftmax(dimension: 1) }
        guard each.count > 1, let first = each.first else { return try each[0].values() }
        let sum = try each.dropFirst().reduce(try first.exponential()) { try $0 + $1.exponential() }
        return try (sum * (1 / Double(each.count)) + 1e-37).logarithm().values()
    }
}
