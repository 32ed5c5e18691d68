internal import CTorch
public import Failures

/// The operations of convolutional networks, on `NCHW` tensors.
extension Tensor {
    /// A 2-D convolution of stride 1 with zero padding.
    ///
    /// - Parameter weight: output channels × input channels × height × width.
    public func convolved(weight: Tensor, bias: Tensor?, padding: Int) throws(TorchError) -> Tensor {
        try Tensor.owning(
            ctorch_conv2d(handle, weight.handle, bias?.handle, Int64(padding)),
            "convolve \(shape) with \(weight.shape)")
    }

    /// Batch normalisation. In training the batch's statistics are used and the running ones moved by `momentum`.
    public func batchNormalized(
        weight: Tensor, bias: Tensor, runningMean: Tensor, runningVariance: Tensor, isTraining: Bool,
        momentum: Double, epsilon: Double
    ) throws(TorchError) -> Tensor {
        try Tensor.owning(
            ctorch_batch_norm(
                handle, weight.handle, bias.handle, runningMean.handle, runningVariance.handle, isTraining ? 1 : 0,
                momentum, epsilon), "normalise \(shape)")
    }

    /// The maximum of each 2×2 square.
    public func maxPooled2() throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_max_pool2(handle), "pool \(shape)")
    }

    /// Half the height and width, the pixels of each 2×2 square side by side in four times the channels.
    public func folded2() throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_pixel_unshuffle2(handle), "fold \(shape)")
    }

    /// Twice the height and width, bilinear, pixel centres aligned as areas (`align_corners` false).
    public func upsampled2() throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_upsample2(handle), "upsample \(shape)")
    }
}
