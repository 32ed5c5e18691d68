/// What went wrong with an image or an image file.
public struct RasterError: Error, CustomStringConvertible, Sendable {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        let name: String
        public static let unreadable = Code(name: "unreadable")
        public static let unwritable = Code(name: "unwritable")
        public static let mismatch = Code(name: "mismatch")
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
