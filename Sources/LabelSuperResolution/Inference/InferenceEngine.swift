internal import OneDNN
internal import Torch

/// What computes a network's output.
public enum InferenceEngine: Equatable, Sendable {
    /// oneDNN on CPUs, in bytes where the CPU sums them exactly and the model's own check allows it; libtorch on GPUs.
    case automatic
    case oneDNN(InferencePrecision)
    /// The engine that trained the network, as reference.
    case libtorch

    /// From a command line: `auto`, `fp32`, `int8` or `libtorch`.
    public init?(named name: String) {
        switch name {
        case "auto": self = .automatic
        case "libtorch": self = .libtorch
        default:
            guard let precision = InferencePrecision(rawValue: name) else { return nil }
            self = .oneDNN(precision)
        }
    }

    /// The engine in use for a model on a device.
    func chosen(device: Device, quantizations: [Quantization]?) -> InferenceEngine {
        guard device == .cpu else { return .libtorch }
        guard self == .automatic else { return self }
        let isFaithful = quantizations.map { !$0.isEmpty && $0.allSatisfy(\.isFaithful) } ?? false
        return .oneDNN(isFaithful && OneDNN.sumsBytesExactly ? .int8 : .float32)
    }
}
