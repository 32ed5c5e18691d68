internal import Failures
internal import Torch

/// A trained U-Net's weights for inference: each batch norm, by now a fixed scale and shift, is folded into the convolution
/// before it.
struct FoldedUNet: Sendable {
    /// A convolution with bias; ReLU follows all but the head.
    struct Layer: Sendable {
        let inputChannels: Int
        let outputChannels: Int
        /// `OIHW`.
        var weights: [Float]
        var bias: [Float]

        /// A 3×3 convolution on a joined image as two: its first `below` channels as nine 1×1 ones, tap by tap from the
        /// kernel's top left (`OI`, (tap, output) first), and the others as they are, with the bias.
        func split(below: Int) -> (taps: [Float], skip: Layer) {
            var taps: [Float] = []
            for tap in 0..<9 {
                for output in 0..<outputChannels {
                    for input in 0..<below { taps.append(weights[(output * inputChannels + input) * 9 + tap]) }
                }
            }
            var others: [Float] = []
            for output in 0..<outputChannels {
                let range = ((output * inputChannels + below) * 9)..<((output + 1) * inputChannels * 9)
                others += weights[range]
            }
            return (
                taps,
                Layer(
                    inputChannels: inputChannels - below, outputChannels: outputChannels, weights: others, bias: bias)
            )
        }
    }

    let architecture: UNetArchitecture
    /// The convolutions of each level on the way down, and of each but the deepest on the way up.
    let down: [[Layer]]
    let up: [[Layer]]
    /// 1×1, to the labels' scores.
    let head: Layer

    /// Whether every weight is a number.
    var isFinite: Bool {
        (down.flatMap(\.self) + up.flatMap(\.self) + [head]).allSatisfy {
            $0.weights.allSatisfy(\.isFinite) && $0.bias.allSatisfy(\.isFinite)
        }
    }

    init(_ network: UNet) throws(TorchError) {
        architecture = network.architecture
        var values: [String: [Float]] = [:]
        for named in network.tensors { values[named.name] = try named.tensor.values() }
        func tensor(_ name: String) -> [Float] { values[name] ?? [] }
        func stage(_ prefix: String) -> [Layer] {
            (0..<network.architecture.convolutionsPerLevel).map { index in
                let name = "\(prefix).\(index)"
                var weights = tensor("\(name).conv.weight")
                let (gamma, beta) = (tensor("\(name).norm.weight"), tensor("\(name).norm.bias"))
                let mean = tensor("\(name).norm.running_mean")
                let variance = tensor("\(name).norm.running_var")
                let inputs = weights.count / (9 * gamma.count)
                var bias = beta
                for output in gamma.indices {
                    let scale = gamma[output] / (variance[output] + Float(BatchNorm2d.epsilon)).squareRoot()
                    for i in (output * inputs * 9)..<((output + 1) * inputs * 9) { weights[i] *= scale }
                    bias[output] -= mean[output] * scale
                }
                return Layer(inputChannels: inputs, outputChannels: gamma.count, weights: weights, bias: bias)
            }
        }
        down = architecture.widths.indices.map { stage("down.\($0)") }
        up = architecture.widths.indices.dropLast().map { stage("up.\($0)") }
        head = Layer(
            inputChannels: architecture.widths[0], outputChannels: architecture.labels,
            weights: tensor("head.weight"), bias: tensor("head.bias"))
    }
}
