public import Foundation

/// Programs that tests run: ours, and the peers' own libraries in the virtual environment that `script/test` makes.
public enum Subprocess {
    /// What a program left behind.
    public struct Outcome: Sendable {
        public let status: Int32
        /// Whether a signal ended it; `status` is its number then.
        public let wasKilled: Bool
        public let output: String
        public let errors: String
    }

    /// The interpreter with openslide-python, tifffile, pycocotools, shapely and safetensors; nil without `script/test`.
    public static let peersPython: String? = {
        guard let path = ProcessInfo.processInfo.environment["GRATICULE_PEERS_PYTHON"] else { return nil }
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }()

    /// The program under test, built beside the tests.
    public static let graticule = TestFolders.root.appendingPathComponent(".build/release/graticule").path

    /// Runs a program to its end.
    public static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], killAfter seconds: Double? = nil,
        killWhen isTime: (() throws -> Bool)? = nil, input: Data? = nil
    ) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // Files rather than pipes: a pipe that nobody reads fills up and stops the program.
        let folder = FileManager.default.temporaryDirectory
        let files = ["out", "err"].map { folder.appendingPathComponent("\(UUID().uuidString).\($0)") }
        for file in files { try Data().write(to: file) }
        defer { for file in files { try? FileManager.default.removeItem(at: file) } }
        process.standardOutput = try FileHandle(forWritingTo: files[0])
        process.standardError = try FileHandle(forWritingTo: files[1])
        process.standardInput = FileHandle.nullDevice
        if let input {
            let file = folder.appendingPathComponent("\(UUID().uuidString).in")
            try input.write(to: file)
            process.standardInput = try FileHandle(forReadingFrom: file)
            try FileManager.default.removeItem(at: file)
        }
        try process.run()
        if let seconds {
            Thread.sleep(forTimeInterval: seconds)
            kill(process.processIdentifier, SIGKILL)
        }
        if let isTime {
            while process.isRunning, try !isTime() { Thread.sleep(forTimeInterval: 0.002) }
            kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, wasKilled: process.terminationReason == .uncaughtSignal,
            output: try String(contentsOf: files[0], encoding: .utf8),
            errors: try String(contentsOf: files[1], encoding: .utf8))
    }
}
