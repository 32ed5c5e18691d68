internal import Failures
internal import Foundation
internal import LabelSuperResolution
internal import Torch

/// Square images in network input form, for classifiers of whole patches.
public struct PatchBatch: Sendable {
    public let count: Int
    public let channels: Int
    public let side: Int
    /// `NCHW`.
    public let values: [Float]
    /// 1 for positives, 0 for others; empty where nothing is known.
    public let labels: [Int8]

    public init(count: Int, channels: Int, side: Int, values: [Float], labels: [Int8] = []) {
        precondition(values.count == count * channels * side * side, "a batch is count × channels × side × side")
        self.count = count
        self.channels = channels
        self.side = side
        self.values = values
        self.labels = labels
    }

    func tensor() throws(TorchError) -> Tensor {
        try Tensor.from(values, shape: [count, channels, side, side]).channelsLast()
    }
}

/// The encoder of Hou et al. (2018), scaled to a CPU: two 5×5 convolutions, pooling, two 3×3, pooling, two 1×1, an eighth of
/// their filters; batch norm and ReLU after each.
final class PatchEncoder {
    /// Theirs: 100, 120, 240, 320, 640, 1024.
    static let widths = [12, 16, 32, 40, 80, 128]
    /// The features are this many times smaller than the image.
    static let reduction = 4
    private let layers: [(Conv2d, BatchNorm2d)]

    init(channels: Int, using generator: inout SeededGenerator) throws(TorchError) {
        var layers: [(Conv2d, BatchNorm2d)] = []
        for (index, width) in PatchEncoder.widths.enumerated() {
            let convolution = try Conv2d(
                inputChannels: index == 0 ? channels : PatchEncoder.widths[index - 1], outputChannels: width,
                kernel: index < 2 ? 5 : index < 4 ? 3 : 1, hasBias: false, using: &generator)
            layers.append((convolution, try BatchNorm2d(channels: width, momentum: 0.1)))
        }
        self.layers = layers
    }

    func callAsFunction(_ x: Tensor, isTraining: Bool) throws(TorchError) -> Tensor {
        var x = x
        for (index, (convolution, norm)) in layers.enumerated() {
            if index == 2 || index == 4 { x = try x.maxPooled2() }
            x = try norm(convolution(x), isTraining: isTraining).relu()
        }
        return x
    }

    var tensors: [NamedTensor] {
        layers.enumerated().flatMap {
            $1.0.tensors(prefix: "encoder.\($0).conv") + $1.1.tensors(prefix: "encoder.\($0).norm")
        }
    }

    func copyWeights(of other: PatchEncoder) throws(TorchError) {
        for (target, source) in zip(tensors, other.tensors) { try target.tensor.copyInPlace(source.tensor) }
    }
}

/// A convolutional network that labels a whole patch: full supervision on patches, the paper's "HR CNN".
public final class PatchClassifier {
    private let encoder: PatchEncoder
    private let head: Conv2d
    private let seed: UInt64

    /// - Parameter pretrained: an autoencoder whose encoder is gone on from, the paper's "HR semi-supervised".
    public init(channels: Int, pretrained: SparseAutoencoder? = nil, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        encoder = try PatchEncoder(channels: channels, using: &generator)
        if let pretrained { try encoder.copyWeights(of: pretrained.encoder) }
        head = try Conv2d(
            inputChannels: PatchEncoder.widths[5], outputChannels: 2, kernel: 1, hasBias: true, using: &generator)
        self.seed = seed
    }

    /// Trains with Adam and a learning rate that falls along half a cosine.
    ///
    /// - Parameter batch: the images and labels of a step, counted from 1.
    public func train(steps: Int, learningRate: Double = 2e-3, batch: (Int) throws -> PatchBatch) throws {
        let optimizer = try Optimizer(
            rule: .adam, parameters: encoder.tensors + head.tensors(prefix: "head"))
        for step in 1...max(1, steps) {
            let images = try batch(step)
            let scores = try scores(images, isTraining: true)
            let logProbabilities = try scores.reshaped([images.count, 2, 1, 1]).logSoftmax(dimension: 1)
            let loss = try PixelCrossEntropy.loss(logProbabilities, labels: images.labels, device: .cpu)
            try optimizer.clearGradients()
            try loss.backward()
            try optimizer.clipGradients(norm: 1)
            try optimizer.step(learningRate: learningRate * 0.5 * (1 + cos(.pi * Double(step) / Double(steps))))
        }
    }

    /// Mean features of the patch's middle half, where the object is, to two scores.
    private func scores(_ images: PatchBatch, isTraining: Bool) throws -> Tensor {
        let features = try encoder(images.tensor(), isTraining: isTraining)
        let side = images.side / PatchEncoder.reduction
        let middle = try features.narrowed(dimension: 2, start: side / 4, length: side / 2)
            .narrowed(dimension: 3, start: side / 4, length: side / 2)
        return try head(middle.mean(2, 3).reshaped([images.count, PatchEncoder.widths[5], 1, 1]))
    }

    /// The log-odds of each patch being positive.
    public func logOdds(_ images: PatchBatch) throws -> [Double] {
        try withoutGradients {
            let values = try scores(images, isTraining: false).values()
            return (0..<images.count).map { Double(values[2 * $0 + 1] - values[2 * $0]) }
        }
    }
}

/// The crosswise-sparse convolutional autoencoder of Hou et al. (2018): a foreground of features that are switched on at few
/// places, in all channels at once, plus a coarse background of five channels. What it learns without labels is where
/// objects are and what they look like.
public final class SparseAutoencoder {
    let encoder: PatchEncoder
    private let detection: Conv2d
    private let foreground: Conv2d
    private let background: Conv2d
    private let foregroundDecoder: [Conv2d]
    private let backgroundDecoder: [Conv2d]
    /// τ, above which the detection map switches on; it tracks a percentile of the map's input.
    public private(set) var threshold = 0.0

    /// The share of places that stays dark (Hou et al.: 98.4 %).
    public static let darkShare = 0.984
    private static let steepness = 100.0
    private static let backgroundChannels = 5

    public init(channels: Int, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        encoder = try PatchEncoder(channels: channels, using: &generator)
        let top = PatchEncoder.widths[5]
        func convolution(_ from: Int, _ to: Int, _ kernel: Int) throws(TorchError) -> Conv2d {
            try Conv2d(inputChannels: from, outputChannels: to, kernel: kernel, hasBias: true, using: &generator)
        }
        detection = try convolution(top, 1, 1)
        foreground = try convolution(top, 32, 1)
        background = try convolution(top, SparseAutoencoder.backgroundChannels, 1)
        foregroundDecoder = [try convolution(32, 24, 3), try convolution(24, 16, 3), try convolution(16, channels, 3)]
        backgroundDecoder = [
            try convolution(SparseAutoencoder.backgroundChannels, 8, 3), try convolution(8, 8, 3),
            try convolution(8, channels, 3),
        ]
    }

    private var tensors: [NamedTensor] {
        let heads = [detection, foreground, background] + foregroundDecoder + backgroundDecoder
        return encoder.tensors + heads.enumerated().flatMap { $1.tensors(prefix: "head.\($0)") }
    }

    /// Trains on images without labels; the loss is the squared error of their reconstruction.
    ///
    /// - Returns: the loss of each step.
    @discardableResult
    public func train(
        steps: Int, learningRate: Double = 2e-3, batch: (Int) throws -> PatchBatch
    ) throws -> [Double] {
        let optimizer = try Optimizer(rule: .adam, parameters: tensors)
        var losses: [Double] = []
        for step in 1...max(1, steps) {
            let input = try batch(step).tensor()
            let (image, _) = try reconstruction(of: input, isTraining: true)
            let difference = try image - input
            let loss = try (difference * difference).mean()
            try optimizer.clearGradients()
            try loss.backward()
            try optimizer.clipGradients(norm: 1)
            try optimizer.step(learningRate: learningRate * 0.5 * (1 + cos(.pi * Double(step) / Double(steps))))
            losses.append(Double(try loss.item()))
        }
        return losses
    }

    /// The share of places that the detection map switches on.
    public func activity(of images: PatchBatch) throws -> Double {
        try withoutGradients {
            let map = try reconstruction(of: images.tensor(), isTraining: false).map.values()
            return Double(map.count { $0 > 0.5 }) / Double(max(1, map.count))
        }
    }

    private func reconstruction(of input: Tensor, isTraining: Bool) throws -> (image: Tensor, map: Tensor) {
        let features = try encoder(input, isTraining: isTraining)
        let raw = try detection(features)
        if isTraining {
            let values = try raw.detached().values().sorted()
            let percentile = Double(values[Int(Double(values.count - 1) * SparseAutoencoder.darkShare)])
            threshold = threshold == 0 ? percentile : 0.9 * threshold + 0.1 * percentile
        }
        let map = try ((raw - threshold) * SparseAutoencoder.steepness).sigmoid()
        var front = try foreground(features) * map
        front = try foregroundDecoder[0](front.upsampled2()).relu()
        front = try foregroundDecoder[1](front.upsampled2()).relu()
        var back = try background(features).maxPooled2()
        for (index, layer) in backgroundDecoder.enumerated() {
            back = try layer(back.upsampled2())
            if index < 2 { back = try back.relu() }
        }
        return (try foregroundDecoder[2](front) + back, map)
    }
}
