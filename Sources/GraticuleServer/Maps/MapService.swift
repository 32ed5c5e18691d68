internal import Failures
public import Foundation
internal import Hummingbird
internal import Logging
public import LandCover

/// How the map of land is started.
public struct MapServiceOptions: Sendable {
    /// Folder of images, or one with `images/` and perhaps `coarse/` and `fine/`.
    public var maps: URL
    /// Folder of land-cover models, or one model.
    public var models: URL?
    /// Coarse rasters by the images' names; nil for `coarse/` beside the images.
    public var coarse: URL?
    /// Rasters of true labels by the images' names; nil for `fine/` beside the images.
    public var truth: URL?
    public var classes = LandClasses.nlcd
    public var labels = LandClasses.fourLabels
    public var address = ServiceAddress()
    public var threads = 2

    public init(maps: URL) {
        self.maps = maps
    }
}

/// The web map of land cover (paper Appendix E): images, coarse classes, and what networks find where one clicks.
public struct MapService: Sendable {
    typealias Context = GraticuleService.Context

    let options: MapServiceOptions
    let host: ServiceHost
    let library: MapLibrary
    let tileWork: BlockingWork
    let networkWork: BlockingWork
    let pictures = BoundedCache<String, EncodedImage>(mostCost: 128 << 20)

    /// - Throws: ``ServiceError`` or ``InputError`` where there is no image, or the address asks for a token.
    public init(_ options: MapServiceOptions) throws {
        host = try ServiceHost(options.address)
        self.options = options
        library = MapLibrary(options, logger: host.logger)
        if try library.entries().isEmpty {
            throw ServiceError(.unable, "there is no image in \(options.maps.path)")
        }
        // What was named and is not there would be missed on the page alone.
        for folder in [options.coarse, options.truth].compactMap({ $0 }) { _ = try RasterFolder(folder) }
        if let models = options.models, library.modelNames().isEmpty {
            throw ServiceError(.unable, "there is no land-cover model in \(models.path)")
        }
        tileWork = BlockingWork(name: "tiles", threads: max(2, options.threads), mostWaiting: 2048, seconds: 30)
        networkWork = BlockingWork(name: "network", threads: 1, mostWaiting: 64, seconds: 120)
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// - Parameter ready: called with the address once connections are taken.
    public func run(ready: @escaping @Sendable (_ url: String) -> Void) async throws {
        try await host.run(router(), services: [], ready: ready)
    }

    func router() -> Router<Context> {
        let router = host.router { nil }
        host.addPage("/", "maps.html", to: router)
        host.addPage("/api/openapi.json", "openapi-maps.json", to: router)
        addMaps(to: router)
        return router
    }
}
