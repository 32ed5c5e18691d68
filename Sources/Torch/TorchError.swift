internal import CTorch

/// What went wrong in a tensor computation or in a weights file.
public struct TorchError: Error, CustomStringConvertible, Sendable {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        let name: String
        /// libtorch refused or failed a computation (shapes, memory, device).
        public static let computation = Code(name: "computation")
        /// A device was asked for that this build or machine does not have.
        public static let device = Code(name: "device")
        /// A safetensors file is cut off, malformed or lacks a tensor.
        public static let weights = Code(name: "weights")
    }

    public let code: Code
    /// What failed, on which file, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    /// The failure that the C layer has just recorded for this thread.
    static func last(_ action: String) -> TorchError {
        let reason = String(cString: ctorch_error()).split(separator: "\n").first.map(String.init) ?? "unknown reason"
        return TorchError(.computation, "libtorch could not \(action): \(reason)")
    }
}
