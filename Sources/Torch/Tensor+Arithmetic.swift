internal import CTorch
public import Failures

/// Element-wise arithmetic with broadcasting, and reductions.
extension Tensor {
    private static func binary(_ operation: Int, _ a: Tensor, _ b: Tensor) throws(TorchError) -> Tensor {
        try owning(
            ctorch_binary(Int32(operation), a.handle, b.handle), "combine tensors of shapes \(a.shape) and \(b.shape)")
    }

    private static func binary(_ operation: Int, _ a: Tensor, _ b: Double) throws(TorchError) -> Tensor {
        try owning(ctorch_binary_scalar(Int32(operation), a.handle, b), "combine a tensor with a number")
    }

    private func unary(_ operation: Int) throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_unary(Int32(operation), handle), "apply a function to a tensor")
    }

    public static func + (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try binary(CTORCH_ADD, a, b) }
    public static func - (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try binary(CTORCH_SUB, a, b) }
    public static func * (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try binary(CTORCH_MUL, a, b) }
    public static func / (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try binary(CTORCH_DIV, a, b) }
    public static func + (a: Tensor, b: Double) throws(TorchError) -> Tensor { try binary(CTORCH_ADD, a, b) }
    public static func - (a: Tensor, b: Double) throws(TorchError) -> Tensor { try binary(CTORCH_SUB, a, b) }
    public static func * (a: Tensor, b: Double) throws(TorchError) -> Tensor { try binary(CTORCH_MUL, a, b) }
    public static func / (a: Tensor, b: Double) throws(TorchError) -> Tensor { try binary(CTORCH_DIV, a, b) }
    public static prefix func - (a: Tensor) throws(TorchError) -> Tensor { try a.unary(CTORCH_NEG) }

    public func exponential() throws(TorchError) -> Tensor { try unary(CTORCH_EXP) }
    public func logarithm() throws(TorchError) -> Tensor { try unary(CTORCH_LOG) }
    public func squareRoot() throws(TorchError) -> Tensor { try unary(CTORCH_SQRT) }
    public func absolute() throws(TorchError) -> Tensor { try unary(CTORCH_ABS) }
    public func relu() throws(TorchError) -> Tensor { try unary(CTORCH_RELU) }
    public func sigmoid() throws(TorchError) -> Tensor { try unary(CTORCH_SIGMOID) }

    /// The logarithm of the softmax along one dimension, computed without overflow.
    public func logSoftmax(dimension: Int) throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_log_softmax(handle, Int64(dimension)), "compute a softmax")
    }

    /// The sum over some dimensions, or over all where none is given.
    public func sum(_ dimensions: Int...) throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_sum(handle, dimensions.map(Int64.init), Int32(dimensions.count)), "sum a tensor")
    }

    /// The mean over some dimensions, or over all where none is given.
    public func mean(_ dimensions: Int...) throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_mean(handle, dimensions.map(Int64.init), Int32(dimensions.count)), "average a tensor")
    }
}
