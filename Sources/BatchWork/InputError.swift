public import Failures

/// What makes the inputs of a piece of work unusable.
public enum InputFailures {}

/// What makes the inputs of a piece of work unusable.
public typealias InputError = Failure<InputFailures>

extension Failure.Code where Domain == InputFailures {
    /// No usable input is left, or what was given does not go together.
    public static var unusable: Self { Self("unusable") }
    /// The model does not fit the task.
    public static var model: Self { Self("model") }
}
