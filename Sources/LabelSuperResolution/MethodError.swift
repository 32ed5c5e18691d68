/// What went wrong in training or with a model.
public struct MethodError: Error, CustomStringConvertible, Sendable {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        let name: String
        /// Priors are missing, impossible or for other classes.
        public static let priors = Code(name: "priors")
        /// A model folder is incomplete, malformed or of another architecture.
        public static let model = Code(name: "model")
        /// Training cannot go on: no data, numbers that are not finite.
        public static let training = Code(name: "training")
    }

    public let code: Code
    /// What failed, on which file, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }

    static let notANumber = MethodError(
        .model, "the network gives values that are no numbers: its weights are damaged; train it again")
}
