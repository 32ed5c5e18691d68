/// What went wrong, in one sentence that names the file and says what to do: the one shape of every error of this house.
///
/// A target has a domain of its own, and a name for its failures: `public typealias SlideError = Failure<SlideFailures>`.
public struct Failure<Domain>: Error, CustomStringConvertible {
    /// The kind of failure; extensible, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        public let name: String

        public init(_ name: String) {
            self.name = name
        }
    }

    public let code: Code
    /// What failed, on which file, what to do; with the words of the C library in brackets where it gave some.
    public let message: String
    /// What it came from; for logs, since the message says it all to people.
    public let cause: (any Error)?

    /// - Parameters:
    ///   - detail: a C library's own words; they follow the message in brackets.
    ///   - cause: the failure that this one came from.
    public init(_ code: Code, _ message: String, detail: String? = nil, cause: (any Error)? = nil) {
        self.code = code
        self.message = detail.map { "\(message) (\($0))" } ?? message
        self.cause = cause
    }

    public var description: String { message }
}

/// An error that came from another one.
public protocol CausedError: Error {
    var cause: (any Error)? { get }
}

extension Failure: CausedError {}

/// The whole story of an error, the last first: for logs.
public func explanation(of error: any Error) -> String {
    var (parts, next): ([String], (any Error)?) = (["\(error)"], (error as? any CausedError)?.cause)
    while let cause = next {
        parts.append("\(cause)")
        next = (cause as? any CausedError)?.cause
    }
    return parts.joined(separator: "; caused by: ")
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
