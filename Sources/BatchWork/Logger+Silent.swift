public import Logging

extension Logger {
    /// Says nothing: what libraries log to where their caller gives no logger.
    public static var silent: Logger { Logger(label: "graticule", factory: { _ in SwiftLogNoOpLogHandler() }) }
}
