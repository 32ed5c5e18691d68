internal import CTorch
public import Failures

/// Gradients and in-place updates.
extension Tensor {
    /// Marks a leaf whose gradient ``backward()`` shall compute.
    public func requireGradient(_ enabled: Bool = true) throws(TorchError) {
        try Tensor.check(ctorch_set_requires_grad(handle, enabled ? 1 : 0), "record gradients")
    }

    /// Computes the gradients of this scalar for every leaf that requires one.
    public func backward() throws(TorchError) {
        try Tensor.check(ctorch_backward(handle), "compute gradients")
    }

    /// The gradient of a leaf after ``backward()``.
    public var gradient: Tensor? {
        ctorch_grad(handle).map(Tensor.init)
    }

    public func clearGradient() throws(TorchError) {
        try Tensor.check(ctorch_clear_grad(handle), "clear a gradient")
    }

    public func scaleInPlace(_ factor: Double) throws(TorchError) {
        try Tensor.check(ctorch_scale_(handle, factor), "scale a tensor")
    }

    /// `self += factor · other`
    public func addInPlace(_ other: Tensor, scaledBy factor: Double = 1) throws(TorchError) {
        try Tensor.check(ctorch_add_scaled_(handle, other.handle, factor), "add tensors")
    }

    /// `self += factor · a · b`, element by element
    public func addProductInPlace(_ a: Tensor, _ b: Tensor, scaledBy factor: Double) throws(TorchError) {
        try Tensor.check(ctorch_addcmul_(handle, a.handle, b.handle, factor), "add a product")
    }

    /// `self += factor · numerator / (√square / rootScale + epsilon)`
    func addRootedQuotientInPlace(
        _ numerator: Tensor, square: Tensor, rootScale: Double, epsilon: Double, scaledBy factor: Double
    ) throws(TorchError) {
        try Tensor.check(
            ctorch_add_rooted_quotient_(handle, numerator.handle, square.handle, rootScale, epsilon, factor),
            "update a parameter")
    }

    public func copyInPlace(_ source: Tensor) throws(TorchError) {
        try Tensor.check(ctorch_copy_(handle, source.handle), "copy a tensor of shape \(source.shape) to \(shape)")
    }
}

/// Runs `body` without recording gradients on this thread.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    let previous = ctorch_set_grad_enabled(0)
    defer { _ = ctorch_set_grad_enabled(previous) }
    return try body()
}
