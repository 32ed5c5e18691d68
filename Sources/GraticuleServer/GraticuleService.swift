internal import BatchWork
internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Lymphocytes
internal import NIOCore
internal import ResultStore
internal import ServiceLifecycle
internal import WholeSlide

/// The web service over a results file and a folder of slides: viewer, HTTP API, DeepZoom tiles and the queue of jobs.
public struct GraticuleService: Sendable {
    /// A request's context knows the client's address.
    struct Context: RequestContext, RemoteAddressRequestContext {
        var coreContext: CoreRequestContextStorage
        let remoteAddress: SocketAddress?

        init(source: ApplicationRequestContextSource) {
            coreContext = .init(source: source)
            remoteAddress = source.channel.remoteAddress
        }

        /// For logs, and to slow one client down by itself.
        var client: String { remoteAddress?.ipAddress ?? "local" }
    }

    let options: ServiceOptions
    /// Two services would work on the same jobs; nil where nothing can be written.
    private let lock: ServiceLock?
    /// Whether the results can only be looked at: no jobs, no counts.
    let isReadOnly: Bool
    let library: SlideLibrary
    /// For what is written: jobs and counts.
    let store: ResultStore
    /// For what is shown: a connection of its own, so that a segmentation in work holds up no page.
    let views: ResultStore
    let queue: LymphocyteQueue
    let host: ServiceHost
    let tileWork: BlockingWork
    let networkWork: BlockingWork
    let storeWork: BlockingWork
    let writeWork: BlockingWork
    /// For choosing squares, which reads many slides.
    let proposalWork: BlockingWork
    let queries: QueryProcess
    private let watch: ResultsWatch
    let tiles = BoundedCache<String, EncodedImage>(mostCost: 192 << 20)
    let overlays = BoundedCache<String, EncodedImage>(mostCost: 32 << 20)

    var logger: Logger { host.logger }

    /// Opens everything that is served.
    ///
    /// - Throws: where the results file or the slides' folder cannot be used, or the address asks for a token.
    public init(_ options: ServiceOptions) throws {
        host = try ServiceHost(options.address)
        let logger = host.logger
        isReadOnly = !ResultStore.isWritable(options.results)
        lock = try isReadOnly ? nil : ServiceLock(options.results)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: options.slides.path, isDirectory: &isFolder), isFolder.boolValue
        else { throw ServiceError(.unable, "there is no folder of slides at \(options.slides.path)") }
        self.options = options
        store = try isReadOnly ? ResultStore(readOnly: options.results) : ResultStore(options.results)
        views = try ResultStore(readOnly: options.results)
        watch = ResultsWatch(options.results, logger: logger)
        let library = SlideLibrary(options, store: views)
        self.library = library
        var worker = LymphocyteWorker(
            store: store, threads: options.threads - 1, slide: { library.entry(named: $0)?.file },
            model: { try library.model($0) })
        worker.slides = options.slides
        worker.models = options.modelsFolder
        worker.heatmaps = options.heatmaps
        worker.givenScale = options.givenScale
        worker.logger = logger
        queue = LymphocyteQueue(store: store, worker: worker, logger: logger)
        tileWork = BlockingWork(name: "tiles", threads: max(2, options.threads), mostWaiting: 2048, seconds: 10)
        networkWork = BlockingWork(name: "network", threads: 1, mostWaiting: 256, seconds: 120)
        storeWork = BlockingWork(name: "store", threads: 1, mostWaiting: 512)
        writeWork = BlockingWork(name: "write", threads: 1, mostWaiting: 256, seconds: 120)
        proposalWork = BlockingWork(name: "squares", threads: 1, mostWaiting: 4, seconds: 1800)
        queries = QueryProcess(results: options.results, logger: logger)
    }

    /// Serves until SIGTERM or SIGINT; requests in work are answered, and the job in work ends its tile rows.
    ///
    /// - Parameter ready: called with the address once connections are taken.
    public func run(ready: @escaping @Sendable (_ url: String) -> Void) async throws {
        try await host.run(
            router(), services: [QueueService(queue: queue, isReadOnly: isReadOnly), watch], ready: ready)
    }

    /// Messages of the store name files; clients are told names without folders.
    func withoutPaths(_ json: Data, status: HTTPResponse.Status = .ok) -> Response {
        JSONBody.response(json: Data(withoutPaths(text: String(decoding: json, as: UTF8.self)).utf8), status: status)
    }

    func withoutPaths(text: String) -> String {
        var text = text
        let folders = [
            options.slides, options.modelsFolder, options.heatmaps, options.results.deletingLastPathComponent(),
        ]
        for folder in folders.compactMap({ $0 }) where folder.path != "/" {
            text = text.replacing(folder.path + "/", with: "").replacing(folder.path, with: "(folder)")
        }
        return text
    }

    /// What is wrong with the service as a whole; nil where nothing is.
    var failure: ServiceError? { watch.failure }

    /// - Throws: ``HTTPError`` where the results can only be looked at.
    func needsWriting() throws(HTTPError) {
        guard !isReadOnly else {
            throw HTTPError(.forbidden, message: "the results file cannot be written to: it can only be looked at")
        }
    }

    /// The queue runs as long as the server.
    private struct QueueService: Service {
        let queue: LymphocyteQueue
        let isReadOnly: Bool

        func run() async throws {
            if !isReadOnly { queue.start() }
            try? await gracefulShutdown()
            await withCheckedContinuation { continuation in
                DispatchQueue.global().async {
                    queue.end()
                    continuation.resume()
                }
            }
        }
    }

    /// Every route; a test compares them with the OpenAPI file.
    func router() -> Router<Context> {
        let router = host.router { failure }
        addPages(to: router)
        addTiles(to: router)
        addResults(to: router)
        addQuery(to: router)
        addJobs(to: router)
        addModels(to: router)
        addAnnotations(to: router)
        addPrediction(to: router)
        addCounting(to: router)
        return router
    }
}
