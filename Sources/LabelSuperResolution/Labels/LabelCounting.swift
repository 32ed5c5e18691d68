public import Failures
public import Torch

/// The label counts that a network's output implies for each block (paper §2; docs/method.md §1).
public struct LabelCounts {
    /// μ = 1/N Σ p, of shape images × labels × rows × columns of blocks; of blocks that are sets of pixels 1 × labels × 1 × blocks.
    public let means: Tensor
    /// v = 1/N Σ p (1 − p), of the same shape; σ² = v / N.
    public let pixelVariances: Tensor
    /// N, the pixels of each block; one number where all are alike.
    private let sizes: [Int]
    private let device: Device

    /// Counts labels in blocks.
    ///
    /// - Parameter logProbabilities: log-softmax of the network, `NLHW` with L labels, in float32.
    public init(logProbabilities: Tensor, shapes: BlockShapes, device: Device = .cpu) throws(TorchError) {
        self.device = device
        switch shapes {
        case .grid(let layout):
            (means, pixelVariances) = try LabelCounts.counted(logProbabilities, layout: layout)
            sizes = [layout.blockSide * layout.blockSide]
        case .sets(let sets):
            let p = try logProbabilities.exponential()
            let shape = [1, p.shape[1], 1, sets.sizes.count]
            // A block without pixels is unknown, and must not divide by 0.
            sizes = sets.sizes.map { max(1, $0) }
            let share = try Tensor.from(
                sizes.map { 1 / Float($0) }, shape: [1, 1, 1, sizes.count], device: device)
            means = try p.groupSums(sets.numbers, count: sizes.count).reshaped(shape) * share
            pixelVariances = try (p - p * p).groupSums(sets.numbers, count: sizes.count).reshaped(shape) * share
        }
    }

    /// A number of each block that depends on its size, laid out to go with ``means``.
    func perBlock(_ value: (_ pixels: Double) -> Double) throws(TorchError) -> Tensor {
        try Tensor.from(sizes.map { Float(value(Double($0))) }, shape: [1, 1, 1, sizes.count], device: device)
    }

    private static func counted(
        _ logProbabilities: Tensor, layout: BlockLayout
    ) throws(TorchError) -> (means: Tensor, pixelVariances: Tensor) {
        let shape = logProbabilities.shape
        let (n, side) = (layout.blocksPerSide, layout.blockSide)
        let inner =
            try logProbabilities
            .narrowed(dimension: 2, start: layout.margin, length: n * side)
            .narrowed(dimension: 3, start: layout.margin, length: n * side)
            .exponential()
        let blocks = try inner.reshaped([shape[0], shape[1], n, side, n, side])
        return (try blocks.mean(3, 5), try (blocks - blocks * blocks).mean(3, 5))
    }
}
