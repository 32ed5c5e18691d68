/// What went wrong in the work on a set of slides or patches.
public struct WorkError: Error, CustomStringConvertible, Sendable {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        let name: String
        /// No usable input is left.
        public static let input = Code(name: "input")
        /// The model does not fit the task.
        public static let model = Code(name: "model")
    }

    public let code: Code
    /// What failed, on which file, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

/// An input that was left out of a batch, and why.
public struct FailedInput: Sendable {
    public let name: String
    public let message: String

    public init(name: String, error: any Error) {
        self.name = name
        message = "\(error)"
    }
}
