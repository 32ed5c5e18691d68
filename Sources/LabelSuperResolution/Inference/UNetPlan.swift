internal import Failures
internal import Foundation
internal import OneDNN

/// A network made ready for images of one size, with every buffer planned once. It runs on the calling thread; each
/// thread has its own.
protocol InferencePlan: AnyObject {
    /// The scores of an image: ``LabelScores/planes(labels:)`` planes.
    ///
    /// - Parameters:
    ///   - planes: the image, `CHW`.
    func run(_ planes: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>) throws(OneDNNError)
}

/// A U-Net of any widths, in 32 bits or bytes: convolutions with folded batch norm and fused ReLU on pixels in `HWC` order.
final class UNetPlan: InferencePlan {
    private struct Step {
        let convolution: Convolution
        let outputChannels: Int
    }

    private let network: FoldedUNet
    private let height: Int
    private let width: Int
    private let element: Convolution.Element
    /// Factors of the input planes, where they become bytes.
    private let inputFactors: [Float]?
    private let down: [[Step]]
    private let up: [[Step]]
    private let head: UNetHead

    private let input: PixelBuffer
    /// Two buffers that take turns within a stage, and the joined input of a stage on the way up.
    private let turns: [PixelBuffer]
    private let joined: PixelBuffer
    /// What each level hands to the way up; the deepest level's is its result.
    private let kept: [PixelBuffer]
    private let low: PixelBuffer
    private let scratch: PixelBuffer

    /// - Parameters:
    ///   - height: of the images, a multiple of the architecture's grid.
    ///   - quantization: for bytes; nil for 32 bits.
    init(_ network: FoldedUNet, height: Int, width: Int, quantization: Quantization?) throws {
        self.network = network
        self.height = height
        self.width = width
        let shape = network.architecture
        let isBytes = quantization != nil
        element = isBytes ? .byte : .float
        let size = isBytes ? 1 : 4
        let (rows, columns) = (height / shape.stride, width / shape.stride)
        func pixels(_ level: Int) -> Int { (rows >> level) * (columns >> level) }
        inputFactors = quantization.map { $0.inputLimits.map { 127 / $0 } }
        var builder = StageBuilder(network: network, rows: rows, columns: columns, quantization: quantization)
        let stagesDown = try builder.stagesDown()
        let stagesUp = try builder.stagesUp()
        down = stagesDown
        up = stagesUp
        let scales = builder.scales
        head = UNetHead(network, height: height, width: width, channelScales: scales)
        let widths = shape.widths
        input = PixelBuffer(byteCount: pixels(0) * shape.inputChannels * shape.stride * shape.stride * size)
        let turn =
            widths.indices.map { level in pixels(level) * max(widths[level], level > 0 ? widths[level - 1] : 0) }
            .max() ?? 0
        turns = [PixelBuffer(byteCount: turn * size), PixelBuffer(byteCount: turn * size)]
        kept = widths.enumerated().map { PixelBuffer(byteCount: pixels($0) * $1 * size) }
        low = PixelBuffer(byteCount: turn * size)
        let join = widths.indices.dropLast().map { pixels($0) * (widths[$0] + widths[$0 + 1]) }.max() ?? 0
        joined = PixelBuffer(byteCount: join * size)
        scratch = PixelBuffer(
            byteCount: max(
                head.scratchBytes, shape.inputChannels * shape.stride * width,
                (stagesDown + stagesUp).joined().map(\.convolution.scratchBytes).max() ?? 0))
    }

    /// Makes the convolutions of the stages, the way down first, and follows what a byte's step stands for.
    private struct StageBuilder {
        let network: FoldedUNet
        /// Of level 0.
        let rows: Int
        let columns: Int
        let isBytes: Bool
        /// Of the convolutions that are still to be made.
        private var limits: ArraySlice<Float>
        /// The real value of a byte's step, by channel of what was made last; nil for 32 bits.
        private(set) var scales: [Float]?
        private var keptScales: [[Float]?] = []

        init(network: FoldedUNet, rows: Int, columns: Int, quantization: Quantization?) {
            self.network = network
            self.rows = rows
            self.columns = columns
            isBytes = quantization != nil
            limits = (quantization?.limits ?? [])[...]
            let stride = network.architecture.stride
            scales = quantization.map { found in
                found.inputLimits.flatMap { [Float](repeating: $0 / 127, count: stride * stride) }
            }
        }

        mutating func stagesDown() throws -> [[Step]] {
            try network.down.enumerated().map { level, layers in
                let stage = try steps(layers, level: level, isFirst: level == 0)
                keptScales.append(scales)
                return stage
            }
        }

        /// Limits are listed with level 0 first, but the way up begins at the deepest.
        mutating func stagesUp() throws -> [[Step]] {
            let perStage = network.architecture.convolutionsPerLevel
            let upLimits = Array(limits)
            var stages = [[Step]](repeating: [], count: network.up.count)
            for level in network.up.indices.reversed() {
                limits = upLimits.dropFirst(level * perStage).prefix(perStage)
                scales = scales.map { $0 + (keptScales[level] ?? []) }
                stages[level] = try steps(network.up[level], level: level, isFirst: false)
            }
            return stages
        }

        private mutating func steps(_ layers: [FoldedUNet.Layer], level: Int, isFirst: Bool) throws -> [Step] {
            try layers.enumerated().map { index, layer in
                let output = isBytes ? (limits.popFirst() ?? 1) / 255 : 1
                let values = scales.map { UNetPlan.quantized(layer, inputScales: $0, outputScale: output) }
                let convolution = try Convolution(
                    kernel: 3, inputChannels: layer.inputChannels, outputChannels: layer.outputChannels,
                    height: rows >> level, width: columns >> level,
                    input: isBytes ? (isFirst && index == 0 ? .signedByte : .byte) : .float,
                    output: isBytes ? .byte : .float,
                    weights: values?.weights ?? layer.weights, bias: values?.bias ?? layer.bias,
                    scales: values?.scales)
                if isBytes { scales = [Float](repeating: output, count: layer.outputChannels) }
                return Step(convolution: convolution, outputChannels: layer.outputChannels)
            }
        }
    }

    /// Weights as whole numbers, so that (Σ w·x + bias) · scale is the output in its bytes' steps.
    private static func quantized(
        _ layer: FoldedUNet.Layer, inputScales: [Float], outputScale: Float
    ) -> (weights: [Float], bias: [Float], scales: [Float]) {
        var (weights, bias, scales) = (layer.weights, layer.bias, layer.bias)
        let inputs = layer.inputChannels
        for output in 0..<layer.outputChannels {
            let range = (output * inputs * 9)..<((output + 1) * inputs * 9)
            // A joined input has channels of different scales: the weights carry them.
            for i in range { weights[i] *= inputScales[(i - range.lowerBound) / 9] }
            let largest = range.reduce(Float(0)) { max($0, abs(weights[$1])) }
            let step = largest > 0 ? largest / 127 : 1
            for i in range { weights[i] = (weights[i] / step).rounded() }
            bias[output] = layer.bias[output] / step
            scales[output] = step / outputScale
        }
        return (weights, bias, scales)
    }

    /// The scores of an image: ``LabelScores/planes(labels:)`` planes.
    ///
    /// - Parameters:
    ///   - observe: gets every convolution's number and output, in 32 bits only.
    func run(
        _ planes: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
        observe: ((_ index: Int, _ values: UnsafePointer<Float>, _ count: Int) -> Void)?
    ) throws(OneDNNError) {
        let shape = network.architecture
        let (rows, columns) = (height / shape.stride, width / shape.stride)
        if let inputFactors {
            PixelLoops.fold(
                planes, factors: inputFactors, height: height, width: width, side: shape.stride, scratch: scratch,
                into: input)
        } else {
            PixelLoops.fold(
                planes, channels: shape.inputChannels, height: height, width: width, side: shape.stride, into: input)
        }
        var index = 0
        func stage(
            _ steps: [Step], from source: PixelBuffer, to target: PixelBuffer, level: Int
        ) throws(OneDNNError) {
            var current = source
            for (number, step) in steps.enumerated() {
                let next =
                    number == steps.count - 1 ? target : (current === turns[0] ? turns[1] : turns[0])
                try step.convolution.run(current.base, into: next.base, scratch: scratch)
                observe?(
                    index, UnsafePointer(next.floats), (rows >> level) * (columns >> level) * step.outputChannels)
                index += 1
                current = next
            }
        }
        for (level, steps) in down.enumerated() {
            var source = input
            if level > 0 {
                PixelLoops.pool(
                    kept[level - 1], element: element, height: rows >> (level - 1), width: columns >> (level - 1),
                    channels: shape.widths[level - 1], into: turns[1])
                source = turns[1]
            }
            try stage(steps, from: source, to: kept[level], level: level)
        }
        var deepest = kept[down.count - 1]
        let afterDown = index
        for level in up.indices.reversed() {
            PixelLoops.enlarge(
                deepest, channels: shape.widths[level + 1], joining: kept[level], skipChannels: shape.widths[level],
                element: element, height: rows >> (level + 1), width: columns >> (level + 1), into: joined)
            index = afterDown + level * shape.convolutionsPerLevel
            try stage(up[level], from: joined, to: low, level: level)
            deepest = low
        }
        head.run(planes, scratch: scratch, into: result) { weights, bias, plane in
            PixelLoops.project(
                deepest, element: element, pixels: rows * columns, weights: weights, bias: bias, into: plane)
        }
    }

    func run(_ planes: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>) throws(OneDNNError) {
        try run(planes, into: result, observe: nil)
    }
}
