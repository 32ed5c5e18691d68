public import Failures

/// What went wrong with a text file or table.
public enum TableFailures {}

/// What went wrong with a text file or table.
public typealias TableError = Failure<TableFailures>

extension Failure.Code where Domain == TableFailures {
    /// The file is missing, cut off, too large, or no table of the expected columns.
    public static var malformed: Self { Self("malformed") }
}
