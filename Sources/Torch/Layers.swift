public import Failures

/// A tensor that belongs to a network, under the name that it has in PyTorch's state dictionary.
public struct NamedTensor {
    public let name: String
    public let tensor: Tensor
    /// Whether an optimiser changes it; running statistics are not trained.
    public let isTrained: Bool

    public init(name: String, tensor: Tensor, isTrained: Bool) {
        self.name = name
        self.tensor = tensor
        self.isTrained = isTrained
    }
}

/// A 2-D convolution of stride 1 that keeps the image size.
public struct Conv2d {
    public let weight: Tensor
    public let bias: Tensor?
    let padding: Int

    /// Draws the weights evenly from ± 1/√fan-in, PyTorch's rule; the bias starts at zero.
    ///
    /// Under a batch norm only the ratio of step to weight matters, so a start of smaller weights learns in larger steps.
    public init(
        inputChannels: Int, outputChannels: Int, kernel: Int, hasBias: Bool, device: Device = .cpu,
        using generator: inout some RandomNumberGenerator
    ) throws(TorchError) {
        let fanIn = inputChannels * kernel * kernel
        let bound = 1 / Float(fanIn).squareRoot()
        var draw: [Float] = []
        draw.reserveCapacity(outputChannels * fanIn)
        for _ in 0..<(outputChannels * fanIn) { draw.append(Float.random(in: -bound...bound, using: &generator)) }
        weight = try Tensor.from(draw, shape: [outputChannels, inputChannels, kernel, kernel], device: device)
            .channelsLast()
        bias = hasBias ? try Tensor.full(0, shape: [outputChannels], device: device) : nil
        padding = kernel / 2
        try weight.requireGradient()
        try bias?.requireGradient()
    }

    public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
        try x.convolved(weight: weight, bias: bias, padding: padding)
    }

    public func tensors(prefix: String) -> [NamedTensor] {
        [NamedTensor(name: "\(prefix).weight", tensor: weight, isTrained: true)]
            + (bias.map { [NamedTensor(name: "\(prefix).bias", tensor: $0, isTrained: true)] } ?? [])
    }
}

/// Batch normalisation over the channels of `NCHW` images.
public struct BatchNorm2d {
    public let weight: Tensor
    public let bias: Tensor
    public let runningMean: Tensor
    public let runningVariance: Tensor
    let momentum: Double
    /// PyTorch's default; kept so that weights mean the same in both.
    public static let epsilon = 1e-5

    /// - Parameter momentum: the share of each batch in the running statistics.
    public init(channels: Int, momentum: Double, device: Device = .cpu) throws(TorchError) {
        weight = try Tensor.full(1, shape: [channels], device: device)
        bias = try Tensor.full(0, shape: [channels], device: device)
        runningMean = try Tensor.full(0, shape: [channels], device: device)
        runningVariance = try Tensor.full(1, shape: [channels], device: device)
        self.momentum = momentum
        try weight.requireGradient()
        try bias.requireGradient()
    }

    public func callAsFunction(_ x: Tensor, isTraining: Bool) throws(TorchError) -> Tensor {
        try x.batchNormalized(
            weight: weight, bias: bias, runningMean: runningMean, runningVariance: runningVariance,
            isTraining: isTraining, momentum: momentum, epsilon: BatchNorm2d.epsilon)
    }

    public func tensors(prefix: String) -> [NamedTensor] {
        [
            NamedTensor(name: "\(prefix).weight", tensor: weight, isTrained: true),
            NamedTensor(name: "\(prefix).bias", tensor: bias, isTrained: true),
            NamedTensor(name: "\(prefix).running_mean", tensor: runningMean, isTrained: false),
            NamedTensor(name: "\(prefix).running_var", tensor: runningVariance, isTrained: false),
        ]
    }
}
