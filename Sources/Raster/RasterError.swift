public import Failures

/// What went wrong with an image or an image file.
public enum RasterFailures {}

/// What went wrong with an image or an image file.
public typealias RasterError = Failure<RasterFailures>

extension Failure.Code where Domain == RasterFailures {
    public static var unreadable: Self { Self("unreadable") }
    public static var unwritable: Self { Self("unwritable") }
    public static var mismatch: Self { Self("mismatch") }
}
