public import Failures
public import Torch

/// The label counts that a network's output implies for each block (paper §2; docs/method.md §1).
public struct LabelCounts {
    /// μ = 1/N Σ p, of shape images × labels × rows × columns of blocks.
    public let means: Tensor
    /// v = 1/N Σ p (1 − p), of the same shape; σ² = v / N.
    public let pixelVariances: Tensor
    /// N, pixels of a block.
    public let blockPixels: Int

    /// Counts labels in the blocks of a layout.
    ///
    /// - Parameter logProbabilities: log-softmax of the network, `NLHW` with L labels, in float32.
    public init(logProbabilities: Tensor, layout: BlockLayout) throws(TorchError) {
        let shape = logProbabilities.shape
        let (n, side) = (layout.blocksPerSide, layout.blockSide)
        let inner =
            try logProbabilities
            .narrowed(dimension: 2, start: layout.margin, length: n * side)
            .narrowed(dimension: 3, start: layout.margin, length: n * side)
            .exponential()
        let blocks = try inner.reshaped([shape[0], shape[1], n, side, n, side])
        means = try blocks.mean(3, 5)
        pixelVariances = try (blocks - blocks * blocks).mean(3, 5)
        blockPixels = side * side
    }
}
