public import Torch

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

    public init(
        inputChannels: Int, labels: Int, widths: [Int], convolutionsPerLevel: Int, batchNormMomentum: Double
    ) {
        self.inputChannels = inputChannels
        self.labels = labels
        self.widths = widths
        self.convolutionsPerLevel = convolutionsPerLevel
        self.batchNormMomentum = batchNormMomentum
    }

    /// Image sides must be multiples of this, and tiles begin on multiples of it, so that the pooling grids coincide.
    public var gridMultiple: Int { 1 << (widths.count - 1) }

    /// Pixels on each side of an output pixel that may change it.
    ///
    /// At level i a 3×3 convolution reaches 2^i px. Pooling adds up to 2^i − 1 and bilinear upsampling up to 2^(i+1) on the
    /// way between levels i and i + 1; the 1×1 head adds nothing.
    public var receptiveRadius: Int {
        let deepest = widths.count - 1
        let convolutions = (0...deepest).reduce(0) { sum, level in
            sum + convolutionsPerLevel * (level == deepest ? 1 : 2) << level
        }
        let poolings = (0..<deepest).reduce(0) { $0 + 1 << $1 }
        let upsamplings = (0..<deepest).reduce(0) { $0 + 2 << $1 }
        return convolutions + poolings + upsamplings
    }

    /// The radius as a tile's halo: a multiple of the grid.
    public var halo: Int { (receptiveRadius + gridMultiple - 1) / gridMultiple * gridMultiple }

    /// Whether the numbers make a network that this program can run.
    public var isPossible: Bool {
        (1...64).contains(inputChannels) && (2...256).contains(labels) && (1...8).contains(widths.count)
            && widths.allSatisfy { (1...1024).contains($0) } && (1...8).contains(convolutionsPerLevel)
            && (0...1).contains(batchNormMomentum)
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
            down.append(try stage(level == 0 ? architecture.inputChannels : widths[level - 1], widths[level]))
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
    }

    /// The scores of the labels before the softmax, `NLHW`; height and width must be multiples of the grid.
    public func callAsFunction(_ input: Tensor, isTraining: Bool) throws(TorchError) -> Tensor {
        var x = input
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
        return try head(x)
    }

    /// Every tensor by name, in a fixed order.
    public var tensors: [NamedTensor] {
        down.enumerated().flatMap { $1.tensors(prefix: "down.\($0)") }
            + up.enumerated().flatMap { $1.tensors(prefix: "up.\($0)") } + head.tensors(prefix: "head")
    }
}
