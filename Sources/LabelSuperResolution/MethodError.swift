public import Failures

/// What went wrong in training or with a model.
public enum MethodFailures {}

/// What went wrong in training or with a model.
public typealias MethodError = Failure<MethodFailures>

extension Failure.Code where Domain == MethodFailures {
    /// Priors are missing, impossible or for other classes.
    public static var priors: Self { Self("priors") }
    /// A model folder is incomplete, malformed or of another architecture.
    public static var model: Self { Self("model") }
    /// Training cannot go on: no data, numbers that are not finite.
    public static var training: Self { Self("training") }
}

extension Failure where Domain == MethodFailures {
    static var notANumber: MethodError {
        MethodError(.model, "the network gives values that are no numbers: its weights are damaged; train it again")
    }
}
