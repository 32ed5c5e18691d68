internal import CTorch
public import Failures

/// A float32 array on a device, with optional gradient recording. Images are `NCHW`.
///
/// The class owns one libtorch handle. Operations return new tensors; those whose name ends in `InPlace` change the
/// receiver and record no gradient. Every operation throws ``TorchError`` where libtorch refuses it.
public final class Tensor {
    let handle: OpaquePointer

    init(_ handle: OpaquePointer) {
        self.handle = handle
    }

    deinit {
        ctorch_free(handle)
    }

    static func owning(_ handle: OpaquePointer?, _ action: String) throws(TorchError) -> Tensor {
        guard let handle else { throw TorchError.last(action) }
        return Tensor(handle)
    }

    static func check(_ status: Int32, _ action: String) throws(TorchError) {
        if status != 0 { throw TorchError.last(action) }
    }

    /// Copies `values`, in row-major order, into a tensor of the given shape.
    public static func from(_ values: [Float], shape: [Int], device: Device = .cpu) throws(TorchError) -> Tensor {
        guard shape.reduce(1, *) == values.count else {
            throw TorchError(.computation, "\(values.count) values do not fill a tensor of shape \(shape)")
        }
        let dimensions = shape.map(Int64.init)
        return try owning(
            ctorch_from_floats(values, dimensions, Int32(shape.count), device.index), "make a tensor of shape \(shape)")
    }

    /// A tensor of equal values.
    public static func full(_ value: Double, shape: [Int], device: Device = .cpu) throws(TorchError) -> Tensor {
        let dimensions = shape.map(Int64.init)
        return try owning(
            ctorch_full(value, dimensions, Int32(shape.count), device.index), "make a tensor of shape \(shape)")
    }

    /// The length of every dimension.
    public var shape: [Int] {
        (0..<ctorch_rank(handle)).map { Int(ctorch_size(handle, $0)) }
    }

    public var count: Int { shape.reduce(1, *) }

    /// The values in row-major order, copied to the CPU.
    public func values() throws(TorchError) -> [Float] {
        let count = count
        var status: Int32 = 0
        let values = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            status = buffer.baseAddress.map { ctorch_copy_floats(handle, $0, Int64(count)) } ?? 0
            initialized = status == 0 ? count : 0
        }
        try Tensor.check(status, "copy a tensor to the CPU")
        return values
    }

    /// The only value of a tensor of one element.
    public func item() throws(TorchError) -> Float {
        let all = try values()
        guard all.count == 1, let value = all.first else {
            throw TorchError(.computation, "a tensor of \(all.count) values is no single number")
        }
        return value
    }

    /// A copy that shares no storage and no gradient history.
    public func clone() throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_clone(handle), "copy a tensor")
    }

    /// The same values without gradient history.
    public func detached() throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_detach(handle), "detach a tensor")
    }

    /// The same `NCHW` tensor with the channels innermost in memory: twice as fast in CPU convolutions.
    public func channelsLast() throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_channels_last(handle), "reorder a tensor")
    }

    public func moved(to device: Device) throws(TorchError) -> Tensor {
        try Tensor.owning(ctorch_to_device(handle, device.index), "move a tensor to \(device)")
    }

    public func reshaped(_ shape: [Int]) throws(TorchError) -> Tensor {
        try Tensor.owning(
            ctorch_reshape(handle, shape.map(Int64.init), Int32(shape.count)), "reshape \(self.shape) to \(shape)")
    }

    /// The part `start ..< start + length` along one dimension, sharing storage.
    public func narrowed(dimension: Int, start: Int, length: Int) throws(TorchError) -> Tensor {
        try Tensor.owning(
            ctorch_narrow(handle, Int64(dimension), Int64(start), Int64(length)), "narrow a tensor of shape \(shape)")
    }

    /// The sums of pixels by group, of shape L × count, from `NLHW`.
    ///
    /// - Parameter numbers: the group of each pixel, image by image and row by row, below `count`; −1 for none.
    public func groupSums(_ numbers: [Int32], count: Int) throws(TorchError) -> Tensor {
        precondition(shape.count == 4 && numbers.count == shape[0] * shape[2] * shape[3], "there is a number a pixel")
        return try Tensor.owning(
            ctorch_group_sums(handle, numbers, Int64(count)), "sum \(numbers.count) pixels in \(count) groups")
    }

    public static func concatenated(_ tensors: [Tensor], dimension: Int) throws(TorchError) -> Tensor {
        let handles = tensors.map { Optional($0.handle) }
        return try owning(
            ctorch_cat(handles, Int32(tensors.count), Int64(dimension)), "concatenate \(tensors.count) tensors")
    }
}
