internal import CTorch
public import Failures

/// Where a tensor lives and is computed.
public enum Device: Hashable, Sendable, CustomStringConvertible {
    case cpu
    case cuda(Int)

    /// Parses `cpu`, `cuda` or `cuda:1`.
    ///
    /// - Throws: ``TorchError`` where the text is none of these, or the device is not present.
    public init(_ text: String) throws(TorchError) {
        if text == "cpu" {
            self = .cpu
            return
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.first == "cuda", parts.count <= 2, let index = parts.count == 2 ? Int(parts[1]) : 0, index >= 0
        else {
            throw TorchError(.device, "'\(text)' is no device; use cpu, cuda or cuda:N")
        }
        let present = Int(ctorch_cuda_device_count())
        guard index < present else {
            throw TorchError(
                .device,
                "device \(text) is not available: this libtorch sees \(present) CUDA devices; "
                    + "point GRATICULE_LIBTORCH at a CUDA build of libtorch and build again, or use --device cpu")
        }
        self = .cuda(index)
    }

    public var description: String {
        switch self {
        case .cpu: "cpu"
        case .cuda(let index): "cuda:\(index)"
        }
    }

    var index: Int32 {
        switch self {
        case .cpu: -1
        case .cuda(let index): Int32(index)
        }
    }
}
