internal import CTorch
public import Failures

/// What went wrong in a tensor computation or in a weights file.
public enum TorchFailures {}

/// What went wrong in a tensor computation or in a weights file.
public typealias TorchError = Failure<TorchFailures>

extension Failure.Code where Domain == TorchFailures {
    /// libtorch refused or failed a computation (shapes, memory, device).
    public static var computation: Self { Self("computation") }
    /// A device was asked for that this build or machine does not have.
    public static var device: Self { Self("device") }
    /// A safetensors file is cut off, malformed or lacks a tensor.
    public static var weights: Self { Self("weights") }
}

extension Failure where Domain == TorchFailures {
    /// The failure that the C layer has just recorded for this thread.
    static func last(_ action: String) -> TorchError {
        let reason = String(cString: ctorch_error()).split(separator: "\n").first.map(String.init) ?? "unknown reason"
        return TorchError(.computation, "libtorch could not \(action): \(reason)")
    }
}
