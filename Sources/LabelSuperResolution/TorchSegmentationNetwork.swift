public import Torch

/// Inference with libtorch.
///
/// `@unchecked Sendable`: the weights are never changed after init, and libtorch allows concurrent forward passes over
/// constant tensors; batch norm in evaluation mode only reads its statistics.
public final class TorchSegmentationNetwork: SegmentationNetwork, @unchecked Sendable {
    private let network: UNet
    private let device: Device

    public var architecture: UNetArchitecture { network.architecture }

    /// Takes over a network; the caller must not train it any further.
    public init(_ network: UNet, device: Device = .cpu) {
        self.network = network
        self.device = device
    }

    public func logOdds(_ batch: ImageBatch) throws -> [Float] {
        let labels = architecture.labels
        let pixels = batch.height * batch.width
        return try withoutGradients {
            let input = try Tensor.from(
                batch.values, shape: [batch.count, batch.channels, batch.height, batch.width], device: device)
            let scores = try network(input.channelsLast(), isTraining: false)
            let last = try scores.narrowed(dimension: 1, start: labels - 1, length: 1)
            if labels == 2 {
                let values = try (last - scores.narrowed(dimension: 1, start: 0, length: 1)).values()
                return values
            }
            let all = try scores.logSoftmax(dimension: 1).values()
            var result = [Float](repeating: 0, count: batch.count * pixels)
            for image in 0..<batch.count {
                for pixel in 0..<pixels {
                    let logP = Double(all[(image * labels + labels - 1) * pixels + pixel])
                    result[image * pixels + pixel] = Float(logP - (1 - min(logP.exponential, 1 - 1e-12)).naturalLogarithm)
                }
            }
            return result
        }
    }
}
