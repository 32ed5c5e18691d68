internal import BatchWork
internal import Failures
internal import Foundation
internal import GeoRaster
internal import Hummingbird
internal import LandCover
internal import Logging
internal import Synchronization

/// The rasters and land-cover models that the map shows. Clients name them by their files' names, never by paths.
final class MapLibrary: Sendable {
    /// An image with what else is known of its place.
    struct Entry: Sendable {
        let name: String
        let image: URL
        let coarse: URL?
        let truth: URL?
    }

    /// The same, opened.
    struct Opened: Sendable {
        let tiles: RasterTiles
        let coarse: GeoRaster?
        let truth: GeoRaster?
        /// Changes with the files.
        let stamp: String

        var image: GeoRaster { tiles.image }
    }

    private struct State {
        var entries: (all: [String: Entry], names: [String], stamp: String)?
        var opened: [String: Opened] = [:]
        var models: [String: (model: LandCoverModel, stamp: String)] = [:]
    }

    private let options: MapServiceOptions
    private let logger: Logger
    private let state = Mutex(State())
    private let modelLock = NSLock()
    /// Files that are held open, and networks in memory, at most.
    private static let (mostOpen, mostModels) = (64, 4)

    init(_ options: MapServiceOptions, logger: Logger) {
        self.options = options
        self.logger = logger
    }

    /// The images of the folder by name, and their names in order. Folders are listed anew where one has changed. It blocks.
    ///
    /// - Throws: ``InputError`` where there is none.
    private func listed() throws -> (all: [String: Entry], names: [String]) {
        let inner = options.maps.appendingPathComponent("images")
        let images = MapLibrary.isFolder(inner) ? inner : options.maps
        let folders = [
            images, options.coarse ?? options.maps.appendingPathComponent("coarse"),
            options.truth ?? options.maps.appendingPathComponent("fine"),
        ]
        let stamp = folders.map(MapLibrary.stamp).joined(separator: " ")
        if let known = state.withLock({ $0.entries }), known.stamp == stamp { return (known.all, known.names) }
        let files = try RasterFolder(images).files.filter { !MapLibrary.isFolder($0) }
        let coarse = beside(options.coarse, "coarse")
        let truth = beside(options.truth, "fine")
        var all: [String: Entry] = [:]
        for file in files {
            let name = RasterFolder.stem(file)
            all[file.lastPathComponent] = Entry(
                name: file.lastPathComponent, image: file, coarse: try? coarse?.partner(of: name),
                truth: try? truth?.partner(of: name))
        }
        let names = files.map(\.lastPathComponent)
        let made = (all: all, names: names, stamp: stamp)
        state.withLock { $0.entries = made }
        return (all, names)
    }

    /// The images' names, in order. It blocks.
    ///
    /// - Throws: ``InputError`` where there is none.
    func entries() throws -> [String] { try listed().names }

    /// The rasters of a folder: the one that was named, or the one of its usual name.
    private func beside(_ given: URL?, _ name: String) -> RasterFolder? {
        try? RasterFolder(given ?? options.maps.appendingPathComponent(name))
    }

    private static func isFolder(_ url: URL) -> Bool {
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) && isFolder.boolValue
    }

    func entry(named name: String) throws -> Entry {
        guard let entry = try listed().all[name] else {
            throw HTTPError(.notFound, message: "there is no image named '\(name.prefix(100))'")
        }
        return entry
    }

    /// Opens an image and its partners, or finds them open; a partner that cannot be opened is none. It blocks.
    func opened(_ entry: Entry) throws -> Opened {
        let stamp = [entry.image, entry.coarse, entry.truth].compactMap { $0 }.map(MapLibrary.stamp).joined(
            separator: " ")
        if let known = state.withLock({ $0.opened[entry.name] }), known.stamp == stamp { return known }
        func partner(_ url: URL?) -> GeoRaster? {
            guard let url else { return nil }
            do {
                return try GeoRaster(url)
            } catch {
                logger.warning("\(error)")
                return nil
            }
        }
        let made = Opened(
            tiles: try RasterTiles(GeoRaster(entry.image)), coarse: partner(entry.coarse), truth: partner(entry.truth),
            stamp: stamp)
        state.withLock { state in
            if state.opened.count >= MapLibrary.mostOpen { state.opened = [:] }
            state.opened[entry.name] = made
        }
        return made
    }

    /// Changes where a file is replaced.
    private static func stamp(_ url: URL) -> String {
        let attributes = try? FileManager.default.attributesOfItem(atPath: url.path)
        let date = (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        return "\(attributes?[.size] as? Int ?? 0)-\(date)"
    }

    private func modelFolders() -> [String: URL] {
        guard let models = options.models else { return [:] }
        var found: [String: URL] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: models.path)) ?? [] {
            found[name] = models.appendingPathComponent(name, isDirectory: true)
        }
        // The folder may be a model itself.
        found[models.lastPathComponent] = models
        return found.filter { LandCoverModel.isThere($0.value) }
    }

    /// Names of land-cover models; those of other applications are not shown.
    func modelNames() -> [String] { modelFolders().keys.sorted() }

    /// Loads a model, or finds it loaded. It blocks.
    func model(_ name: String) throws -> LandCoverModel {
        guard let folder = modelFolders()[name] else {
            throw HTTPError(.notFound, message: "there is no model named '\(name.prefix(100))' at hand")
        }
        return try modelLock.withLock {
            let stamp = ["weights.safetensors", "model.json"].map {
                MapLibrary.stamp(folder.appendingPathComponent($0))
            }.joined(separator: " ")
            if let known = state.withLock({ $0.models[name] }), known.stamp == stamp { return known.model }
            let model: LandCoverModel
            do {
                model = try LandCoverModel(folder)
            } catch {
                logger.error("\(error)")
                throw HTTPError(
                    .unprocessableContent,
                    message: "the model '\(name)' cannot be used: its files are damaged or incomplete"
                )
            }
            state.withLock { state in
                if state.models.count >= MapLibrary.mostModels { state.models = [:] }
                state.models[name] = (model, stamp)
            }
            return model
        }
    }
}
