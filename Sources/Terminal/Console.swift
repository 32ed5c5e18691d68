internal import ArgumentParser
internal import Foundation
package import Logging

/// What the commands print: results to standard output, the rest to standard error.
package enum Console {
    package static func error(_ message: String, prefix: String = "error: ") {
        FileHandle.standardError.write(Data((prefix + message + "\n").utf8))
    }

    package static func note(_ message: String) {
        FileHandle.standardError.write(Data((message + "\n").utf8))
    }

    /// What libraries tell on their way, on standard error from the level on that GRATICULE_LOG names (debug, info, warning,
    /// error); without it nothing.
    package static var logger: Logger {
        let wanted = ProcessInfo.processInfo.environment["GRATICULE_LOG"].flatMap { Logger.Level(rawValue: $0) }
        guard let wanted else {
            return Logger(label: "graticule") { _ in SwiftLogNoOpLogHandler() }
        }
        var logger = Logger(label: "graticule") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = wanted
        return logger
    }

    package static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Bytes as people say them, such as `1.2 GB`.
    package static func size(_ bytes: Double) -> String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var (value, unit) = (bytes.isFinite ? bytes : 0, 0)
        while value >= 1000, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        return String(format: value < 10 && unit > 0 ? "%.1f %@" : "%.0f %@", value, units[unit])
    }

    /// Seconds as `1:02:03` or `2:03`.
    package static func duration(_ seconds: Double) -> String {
        let whole = Int(max(0, min(1e9, seconds.isNaN ? 0 : seconds)).rounded())
        let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
        return hours > 0
            ? String(format: "%d:%02d:%02d", hours, minutes, rest) : String(format: "%d:%02d", minutes, rest)
    }
}

/// A line on a terminal that is written over, or a line now and then where standard error is a file.
package final class ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) != 0
    private var last = Date.distantPast
    private var isShown = false

    package init() {}

    /// Seconds between two updates on a terminal, and in a log.
    private static let terminalInterval = 0.2
    private static let logInterval = 30.0

    package func show(_ text: String, force: Bool = false) {
        let interval = isTerminal ? ProgressLine.terminalInterval : ProgressLine.logInterval
        guard force || Date().timeIntervalSince(last) >= interval else { return }
        last = Date()
        let line = isTerminal ? "\r\u{1b}[K\(text)" : text + "\n"
        FileHandle.standardError.write(Data(line.utf8))
        isShown = isTerminal
    }

    /// Ends the line, so that what follows begins a new one.
    package func end() {
        if isShown { FileHandle.standardError.write(Data("\n".utf8)) }
        isShown = false
    }
}
