/// What went wrong with a slide or a file that belongs to it.
public struct SlideError: Error, CustomStringConvertible, Sendable {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        let name: String
        /// The file is missing or no format that OpenSlide knows.
        public static let unopenable = Code(name: "unopenable")
        /// Pixels could not be decoded.
        public static let unreadable = Code(name: "unreadable")
        /// The slide does not say how large a pixel is, or says something impossible.
        public static let scale = Code(name: "scale")
        /// A heatmap is malformed or does not fit its slide.
        public static let heatmap = Code(name: "heatmap")
        /// A tissue mask is malformed or does not fit its slide.
        public static let tissue = Code(name: "tissue")
        /// A fine mask is malformed, or it is not clear which one is meant.
        public static let mask = Code(name: "mask")
        /// The file is no longer the one that was opened.
        public static let changed = Code(name: "changed")
        /// A table (CSV) is malformed.
        public static let table = Code(name: "table")
    }

    public let code: Code
    /// What failed, on which file, what to do.
    public let message: String
    /// The C library's own text.
    public let cause: String?

    public init(_ code: Code, _ message: String, cause: String? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    public var description: String { cause.map { "\(message) (\($0))" } ?? message }
}
