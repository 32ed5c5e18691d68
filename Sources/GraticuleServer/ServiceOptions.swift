public import Failures
public import Foundation

/// How the service is started.
public struct ServiceOptions: Sendable {
    /// The results file; made where it does not exist.
    public var results: URL
    /// Folder of slides.
    public var slides: URL
    /// Folder of model folders.
    public var models: URL?
    /// Folder of heatmaps: jobs compare regions with them, and regions to count in are drawn from them.
    public var heatmaps: URL?
    public var address = ServiceAddress()
    /// Whether label and macro images, and slide properties that may name a patient, are shown.
    public var showsLabels = false
    /// µm per level-0 pixel for slides that do not say it.
    public var givenScale: Double?
    /// Threads for tiles, and for a segmentation.
    public var threads = 2

    /// Where models are looked for, and those that are trained here are put: `models`, or a folder beside the results file.
    var modelsFolder: URL {
        models
            ?? results.deletingLastPathComponent().appendingPathComponent(
                "\(results.deletingPathExtension().lastPathComponent)-models", isDirectory: true)
    }

    public init(results: URL, slides: URL) {
        self.results = results
        self.slides = slides
    }

    /// Raises the number of files that the process may have open as far as it may: each connection is one.
    static func allowManyConnections() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// Why the service cannot run.
public enum ServiceFailures {}

/// Why the service cannot run.
public typealias ServiceError = Failure<ServiceFailures>

extension Failure.Code where Domain == ServiceFailures {
    /// The service cannot start, or not go on.
    public static var unable: Self { Self("unable") }
}
