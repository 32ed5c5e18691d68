public import Failures
internal import Tables

/// What went wrong with a slide or a file that belongs to it.
public enum SlideFailures {}

/// What went wrong with a slide or a file that belongs to it.
public typealias SlideError = Failure<SlideFailures>

extension Failure.Code where Domain == SlideFailures {
    /// The file is missing or no format that OpenSlide knows.
    public static var unopenable: Self { Self("unopenable") }
    /// Pixels could not be decoded.
    public static var unreadable: Self { Self("unreadable") }
    /// The slide does not say how large a pixel is, or says something impossible.
    public static var scale: Self { Self("scale") }
    /// A heatmap is malformed or does not fit its slide.
    public static var heatmap: Self { Self("heatmap") }
    /// A tissue mask is malformed or does not fit its slide.
    public static var tissue: Self { Self("tissue") }
    /// A fine mask is malformed, or it is not clear which one is meant.
    public static var mask: Self { Self("mask") }
    /// The file is no longer the one that was opened.
    public static var changed: Self { Self("changed") }
    /// A table (CSV) is malformed.
    public static var table: Self { Self("table") }
}

/// What is wrong with a text or table that belongs to a slide is told as what is wrong with the slide's file.
func asSlideError<Result>(_ body: () throws -> Result) throws(SlideError) -> Result {
    do {
        return try body()
    } catch let error as SlideError {
        throw error
    } catch let error as TableError {
        throw SlideError(.table, error.message, cause: error)
    } catch {
        throw SlideError(.table, "\(error)", cause: error)
    }
}
