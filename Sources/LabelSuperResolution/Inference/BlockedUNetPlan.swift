internal import Failures
internal import OneDNN

/// A U-Net in 32 bits whose widths are multiples of 16, on CPUs with vectors of 16 floats. It does fewer operations than
/// ``UNetPlan``, up to rounding with the same result:
///
/// - Convolutions of 32 channels and more are computed after Winograd.
/// - The first convolution of a stage on the way up sees the enlarged image below and the skipped one beside it. What it
///   does with the enlarged one is done before the enlargement, on a quarter of the pixels: both are linear. No joined
///   image is ever made.
final class BlockedUNetPlan: InferencePlan {
    /// A stage on the way up.
    private struct UpStage {
        /// The nine taps on the image below, 1×1, and the convolution of the skipped image, added to their sum.
        let taps: Convolution
        let skip: Convolution
        let rest: [Convolution]
    }

    private let shape: UNetArchitecture
    private let rows: Int
    private let columns: Int
    /// The first convolution, on the network's input.
    private let entry: Convolution
    private let down: [[Convolution]]
    private let up: [UpStage]
    private let head: UNetHead

    private let input: PixelBuffer
    /// Two buffers that take turns within a stage.
    private let turns: [PixelBuffer]
    private let taps: PixelBuffer
    private let kept: [PixelBuffer]
    private let low: PixelBuffer
    private let scratch: PixelBuffer

    /// Whether this CPU and this network are of the kind.
    static func suits(_ architecture: UNetArchitecture) -> Bool {
        OneDNN.hasWideVectors && architecture.widths.allSatisfy { $0 % 16 == 0 }
    }

    init(_ network: FoldedUNet, height: Int, width: Int) throws {
        let shape = network.architecture
        self.shape = shape
        let (rows, columns) = (height / shape.stride, width / shape.stride)
        (self.rows, self.columns) = (rows, columns)
        func pixels(_ level: Int) -> Int { (rows >> level) * (columns >> level) }

        /// 3×3 with ReLU.
        func convolution(
            _ layer: FoldedUNet.Layer, level: Int, layout: Convolution.Layout? = nil, adds: Bool = false
        ) throws -> Convolution {
            // With 16 channels pixels are one block, and oneDNN is fastest on pixels.
            let isNarrow = max(layer.inputChannels, layer.outputChannels) <= 16
            func make(_ layout: Convolution.Layout) throws -> Convolution {
                try Convolution(
                    kernel: 3, inputChannels: layer.inputChannels, outputChannels: layer.outputChannels,
                    height: rows >> level, width: columns >> level, input: .float, output: .float, layout: layout,
                    addsToOutput: adds, weights: layer.weights, bias: layer.bias)
            }
            if let layout = layout ?? (isNarrow ? .pixels : nil) { return try make(layout) }
            // oneDNN does not promise Winograd for every shape.
            return try (try? make(.blocksByWinograd)) ?? make(.blocks)
        }
        entry = try convolution(network.down[0][0], level: 0, layout: .pixels)
        down = try network.down.enumerated().map { level, layers in
            try layers.dropFirst(level == 0 ? 1 : 0).map { try convolution($0, level: level) }
        }
        up = try network.up.enumerated().map { level, layers in
            let (skip, below) = (shape.widths[level], shape.widths[level + 1])
            let parts = layers[0].split(below: below)
            return UpStage(
                taps: try Convolution(
                    kernel: 1, inputChannels: below, outputChannels: 9 * skip, height: rows >> (level + 1),
                    width: columns >> (level + 1), input: .float, output: .float, layout: .blocks, hasReLU: false,
                    weights: parts.taps, bias: [Float](repeating: 0, count: 9 * skip)),
                skip: try convolution(parts.skip, level: level, adds: true),
                rest: try layers.dropFirst().map { try convolution($0, level: level) })
        }
        head = UNetHead(network, height: height, width: width)

        let widths = shape.widths
        let inputCount = pixels(0) * shape.inputChannels * shape.stride * shape.stride
        input = PixelBuffer(byteCount: 4 * inputCount)
        let turn = widths.indices.map { pixels($0) * widths[$0] }.max() ?? 0
        turns = [PixelBuffer(byteCount: 4 * turn), PixelBuffer(byteCount: 4 * turn)]
        kept = widths.enumerated().map { PixelBuffer(byteCount: 4 * pixels($0) * $1) }
        low = PixelBuffer(byteCount: 4 * turn)
        taps = PixelBuffer(
            byteCount: 4 * 9 * (widths.indices.dropLast().map { pixels($0 + 1) * widths[$0] }.max() ?? 0))
        let convolutions = [entry] + down.joined() + up.flatMap { [$0.taps, $0.skip] + $0.rest }
        scratch = PixelBuffer(
            byteCount: max(
                head.scratchBytes, PixelLoops.enlargeScratch(width: columns),
                convolutions.map(\.scratchBytes).max() ?? 0))
    }

    func run(_ planes: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>) throws(OneDNNError) {
        PixelLoops.fold(
            planes, channels: shape.inputChannels, height: rows * shape.stride, width: columns * shape.stride,
            side: shape.stride, into: input)
        let first = start(down[0], target: kept[0])
        if shape.widths[0] > 16 {
            try entry.run(input.base, into: turns[1].base, scratch: scratch)
            PixelLoops.block(turns[1], count: rows * columns, channels: shape.widths[0], into: first)
        } else {
            try entry.run(input.base, into: first.base, scratch: scratch)
        }
        try stage(down[0], from: first, to: kept[0])
        for level in 1..<max(1, down.count) {
            PixelLoops.poolBlocks(
                kept[level - 1], height: rows >> (level - 1), width: columns >> (level - 1),
                channels: shape.widths[level - 1], into: turns[1])
            try stage(down[level], from: turns[1], to: kept[level])
        }
        var below = kept[down.count - 1]
        for (level, stage) in up.enumerated().reversed() {
            try stage.taps.run(below.base, into: taps.base, scratch: scratch)
            let first = start(stage.rest, target: low)
            PixelLoops.enlarge(
                taps: taps, channels: shape.widths[level], height: rows >> (level + 1), width: columns >> (level + 1),
                scratch: scratch, into: first)
            try stage.skip.run(kept[level].base, into: first.base, scratch: scratch)
            try self.stage(stage.rest, from: first, to: low)
            below = low
        }
        let features = below
        head.run(planes, scratch: scratch, into: result) { weights, bias, plane in
            PixelLoops.projectBlocks(features, pixels: rows * columns, weights: weights, bias: bias, into: plane)
        }
    }

    /// Where a stage's input is put that has these steps still to go.
    private func start(_ steps: [Convolution], target: PixelBuffer) -> PixelBuffer { steps.isEmpty ? target : turns[0] }

    private func stage(
        _ steps: [Convolution], from source: PixelBuffer, to target: PixelBuffer
    ) throws(OneDNNError) {
        var current = source
        for (number, step) in steps.enumerated() {
            let next = number == steps.count - 1 ? target : (current === turns[0] ? turns[1] : turns[0])
            try step.run(current.base, into: next.base, scratch: scratch)
            current = next
        }
    }
}
