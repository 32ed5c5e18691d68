public import Failures
public import Torch

/// What one input channel alone says of the last label: a fixed term of its log-odds, on which the network builds.
///
/// Coarse labels leave open which pixels of a block bear the label, and a network that starts from nothing fills that in with the texture of the fields it saw.
public struct ChannelPrior: Codable, Equatable, Sendable {
    /// The input channel.
    public var channel: Int
    /// Log-odds per unit of the channel.
    public var weight: Double
    /// The channel is averaged over a disc of this radius, pixels.
    public var radius: Int

    public init(channel: Int, weight: Double, radius: Int) {
        self.channel = channel
        self.weight = weight
        self.radius = radius
    }

    /// A convolution kernel of the disc for each label: zero but for the last.
    func kernel(labels: Int) -> (values: [Float], shape: [Int]) {
        let side = 2 * radius + 1
        let disc = (0..<(side * side)).map { i -> Float in
            let (x, y) = (i % side - radius, i / side - radius)
            return x * x + y * y <= radius * radius ? 1 : 0
        }
        let total = disc.reduce(0, +)
        let zeros = [Float](repeating: 0, count: (labels - 1) * side * side)
        return (zeros + disc.map { $0 / total * Float(weight) }, [labels, 1, side, side])
    }
}

/// The shape of a U-Net.
public struct UNetArchitecture: Codable, Equatable, Sendable {
    public var inputChannels: Int
    /// Labels, and so output channels.
    public var labels: Int
    /// Filters at each level, from full resolution down; one pooling between two levels.
    public var widths: [Int]
    /// 3×3 convolutions at each level, on the way down and on the way up.
    public var convolutionsPerLevel: Int
    /// The share of each batch in the batch norms' running statistics.
    public var batchNormMomentum: Double
    /// 2 where squares of 2×2 pixels are folded into channels before the first convolution and the scores enlarged at the
    /// end: a quarter of the work, and no pixel is thrown away. 1 for the paper's network.
    public var stride: Int
    /// A fixed term of the last label's score; nil for none.
    public var prior: ChannelPrior?

    public init(
        inputChannels: Int, labels: Int, widths: [Int], convolutionsPerLevel: Int, batchNormMomentum: Double,
        stride: Int = 1, prior: ChannelPrior? = nil
    ) {
        self.inputChannels = inputChannels
        self.labels = labels
        self.widths = widths
        self.convolutionsPerLevel = convolutionsPerLevel
        self.batchNormMomentum = batchNormMomentum
        self.stride = stride
        self.prior = prior
    }

    /// Image sides must be multiples of this, and tiles begin on multiples of it, so that the pooling grids coincide.
    public var gridMultiple: Int { stride << (widths.count - 1) }

    /// 3×3 convolutions on the way down and on the way up.
    var convolutionCount: Int { convolutionsPerLevel * (2 * widths.count - 1) }

    /// Pixels on each side of an output pixel that may change it.
    ///
    /// At level i a 3×3 convolution reaches 2^i px. Pooling adds up to 2^i − 1 and bilinear upsampling up to 2^(i+1) on the
    /// way between levels i and i + 1; the 1×1 head adds nothing. With a stride all of it is that many times as far, and folding
    /// and enlarging add s − 1 and s.
    public var receptiveRadius: Int {
        let deepest = widths.count - 1
        let convolutions = (0...deepest).reduce(0) { sum, level in
            sum + convolutionsPerLevel * (level == deepest ? 1 : 2) << level
        }
        let poolings = (0..<deepest).reduce(0) { $0 + 1 << $1 }
        let upsamplings = (0..<deepest).reduce(0) { $0 + 2 << $1 }
        let network = stride * (convolutions + poolings + upsamplings) + (stride > 1 ? 2 * stride - 1 : 0)
        return max(network, prior?.radius ?? 0)
    }

    /// The radius as a tile's halo: a multiple of the grid.
    public var halo: Int { (receptiveRadius + gridMultiple - 1) / gridMultiple * gridMultiple }

    /// Whether the numbers make a network that this program can run.
    public var isPossible: Bool {
        (1...64).contains(inputChannels) && (2...256).contains(labels) && (1...8).contains(widths.count)
            && widths.allSatisfy { (1...1024).contains($0) } && (1...8).contains(convolutionsPerLevel)
            && (0...1).contains(batchNormMomentum) && (1...2).contains(stride)
            && prior.map {
                (0..<inputChannels).contains($0.channel) && (0...64).contains($0.radius) && $0.weight.isFinite
            }
                ?? true
    }
}

/// A U-Net: convolutions, batch norm and ReLU at each level, 2×2 max pooling down, bilinear upsampling and
/// concatenation up, a 1×1 convolution to the labels (paper Appendix A).
public final class UNet {
    private struct Stage {
        let convolutions: [(Conv2d, BatchNorm2d)]

        init(
            from: Int, to: Int, count: Int, momentum: Double, device: Device, using generator: inout SeededGenerator
        ) throws(TorchError) {
            var layers: [(Conv2d, BatchNorm2d)] = []
            for index in 0..<count {
                // Batch norm follows, whose bias does the same as the convolution's would.
                let convolution = try Conv2d(
                    inputChannels: index == 0 ? from : to, outputChannels: to, kernel: 3, hasBias: false,
                    device: device, using: &generator)
                layers.append((convolution, try BatchNorm2d(channels: to, momentum: momentum, device: device)))
            }
            convolutions = layers
        }

        func callAsFunction(_ x: Tensor, isTraining: Bool) throws(TorchError) -> Tensor {
            var x = x
            for (convolution, norm) in convolutions { x = try norm(convolution(x), isTraining: isTraining).relu() }
            return x
        }

        func tensors(prefix: String) -> [NamedTensor] {
            convolutions.enumerated().flatMap { index, layer in
                layer.0.tensors(prefix: "\(prefix).\(index).conv") + layer.1.tensors(prefix: "\(prefix).\(index).norm")
            }
        }
    }

    public let architecture: UNetArchitecture
    private let down: [Stage]
    private let up: [Stage]
    private let head: Conv2d
    private let priorKernel: Tensor?

    /// A network with weights drawn from `seed`.
    public init(_ architecture: UNetArchitecture, seed: UInt64, device: Device = .cpu) throws(TorchError) {
        self.architecture = architecture
        var generator = SeededGenerator(seed: seed)
        let widths = architecture.widths
        func stage(_ from: Int, _ to: Int) throws(TorchError) -> Stage {
            try Stage(
                from: from, to: to, count: architecture.convolutionsPerLevel, momentum: architecture.batchNormMomentum,
                device: device, using: &generator)
        }
        var down: [Stage] = []
        for level in widths.indices {
            let first = architecture.inputChannels * architecture.stride * architecture.stride
            down.append(try stage(level == 0 ? first : widths[level - 1], widths[level]))
        }
        var up: [Stage] = []
        for level in widths.indices.dropLast() {
            up.append(try stage(widths[level] + widths[level + 1], widths[level]))
        }
        self.down = down
        self.up = up
        head = try Conv2d(
            inputChannels: widths[0], outputChannels: architecture.labels, kernel: 1, hasBias: true,
            device: device, using: &generator)
        var kernel: Tensor?
        if let prior = architecture.prior {
            let (values, shape) = prior.kernel(labels: architecture.labels)
            kernel = try Tensor.from(values, shape: shape, device: device)
        }
        priorKernel = kernel
    }

    /// The scores of the labels before the softmax, `NLHW`; height and width must be multiples of the grid.
    public func callAsFunction(_ input: Tensor, isTraining: Bool) throws(TorchError) -> Tensor {
        var x = try architecture.stride == 2 ? input.folded2() : input
        var skipped: [Tensor] = []
        for (level, stage) in down.enumerated() {
            if level > 0 {
                skipped.append(x)
                x = try x.maxPooled2()
            }
            x = try stage(x, isTraining: isTraining)
        }
        for level in up.indices.reversed() {
            x = try up[level](
                Tensor.concatenated([x.upsampled2(), skipped[level]], dimension: 1), isTraining: isTraining)
        }
        let scores = try head(x)
        let whole = try architecture.stride == 2 ? scores.upsampled2() : scores
        guard let prior = architecture.prior, let priorKernel else { return whole }
        let channel = try input.narrowed(dimension: 1, start: prior.channel, length: 1)
        return try whole + channel.convolved(weight: priorKernel, bias: nil, padding: prior.radius)
    }

    /// Makes the network give every pixel the same scores, highest for `label`, whatever the input.
    func makeConstant(label: Int) throws(TorchError) {
        try head.weight.scaleInPlace(0)
        let scores = (0..<architecture.labels).map { Float($0 == label ? 2 : -2) }
        if let bias = head.bias { try bias.copyInPlace(Tensor.from(scores, shape: [scores.count])) }
    }

    /// Every tensor by name, in a fixed order.
    public var tensors: [NamedTensor] {
        down.enumerated().flatMap { $1.tensors(prefix: "down.\($0)") }
            + up.enumerated().flatMap { $1.tensors(prefix: "up.\($0)") } + head.tensors(prefix: "head")
    }
}
