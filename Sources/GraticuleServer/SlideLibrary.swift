internal import Foundation
internal import Hummingbird
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import Synchronization
internal import WholeSlide

/// The slides and models that the service shows. Clients name them by identifiers, never by paths.
final class SlideLibrary: Sendable {
    /// A slide file of the folder.
    struct Entry: Sendable {
        /// From the file's name: the same after a restart.
        let id: String
        let name: String
        let file: SlideFile
        /// What the file was when the folder was read: another one at its place has another.
        let stamp: String

        var url: URL { file.url }
    }

    /// A slide that is open.
    struct Open: Sendable {
        let entry: Entry
        let slide: Slide
        let pyramid: DeepZoom
        /// Of its content.
        let identity: String
        /// What the file was when it was opened.
        let stamp: String?
        /// nil where the slide does not say how large its pixels are.
        let scale: SlideScale?
    }

    private struct State {
        var entries: [Entry] = []
        var byID: [String: Entry] = [:]
        var read = Date.distantPast
        var isBeingRead = false
        var models: [String: (model: SegmentationModel, stamp: String)] = [:]
    }

    private let folder: URL
    private let modelFolder: URL
    private let givenScale: Double?
    private let store: ResultStore
    private let state = Mutex(State())
    private let open = BoundedCache<String, Open>(mostCost: SlideLibrary.mostOpen)
    private let modelLock = NSLock()

    /// Slides open at once: each holds file descriptors and OpenSlide's cache of 32 MB.
    private static let mostOpen = 12
    /// The folder is read anew when the list is older than this, seconds: slides may come while the service runs.
    private static let freshness = 2.0

    init(_ options: ServiceOptions, store: ResultStore) {
        folder = options.slides
        modelFolder = options.modelsFolder
        givenScale = options.givenScale
        self.store = store
        readFolder()
    }

    /// The slides of the folder by name.
    var entries: [Entry] { refreshed().entries }

    func entry(id: String) throws(HTTPError) -> Entry {
        guard let entry = refreshed().byID[id] else { throw HTTPError(.notFound, message: "there is no such slide") }
        return entry
    }

    /// The one slide that a job names: by its path within the folder, or by its name where no other has the same.
    func entry(named name: String) -> Entry? {
        let entries = refreshed().entries
        if let exact = entries.first(where: { $0.file.relativePath == name }) { return exact }
        let named = entries.filter { $0.name == name }
        return named.count == 1 ? named[0] : nil
    }

    /// The folder as it was read last. Where that is a while ago it is read anew by another thread: requests come in on the
    /// server's own, which must not wait for a disk.
    private func refreshed() -> State {
        let (known, reads) = state.withLock { state in
            let isOld = Date().timeIntervalSince(state.read) > SlideLibrary.freshness
            let reads = isOld && !state.isBeingRead
            if reads { state.isBeingRead = true }
            return (state, reads)
        }
        if reads {
            DispatchQueue.global().async { [self] in readFolder() }
        }
        return known
    }

    private func readFolder() {
        // Links out of the folder are not followed, and pipes are not waited for.
        let root = folder.resolvingSymlinksInPath().path
        let entries = SlideFolder.contents(of: [folder]).slides.compactMap { file -> Entry? in
            let path = file.url.resolvingSymlinksInPath().path
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            guard path.hasPrefix(root == "/" ? root : root + "/"),
                attributes?[.type] as? FileAttributeType == .typeRegular
            else { return nil }
            var fingerprint = Fingerprint()
            fingerprint.add(Data(file.relativePath.utf8))
            return Entry(id: fingerprint.text, name: file.name, file: file, stamp: file.stamp ?? "")
        }
        state.withLock { state in
            state.entries = entries
            state.byID = Dictionary(entries.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
            state.read = Date()
            state.isBeingRead = false
        }
    }

    /// Opens a slide, or finds it open. It blocks.
    func opened(_ entry: Entry) throws -> Open {
        let stamp = entry.file.stamp
        // Where another file lies at the place by now, what was open is of the past.
        if let known = open[entry.id], known.stamp == stamp { return known }
        let slide = try Slide(entry.url)
        let found = Open(
            entry: entry, slide: slide, pyramid: DeepZoom(slide), identity: try slide.contentIdentity(), stamp: stamp,
            scale: try? slide.scale(given: givenScale))
        open.insert(found, for: entry.id, cost: 1)
        return found
    }

    /// Names of the models at hand: folders in `--models`, and those that have made results and are still there.
    func modelNames() throws -> [String] { try modelFolders().keys.sorted() }

    /// The folder of a model at hand.
    func modelFolder(_ name: String) throws -> URL {
        guard let folder = try modelFolders()[name] else {
            throw HTTPError(.notFound, message: "there is no model named '\(name)' at hand")
        }
        return folder
    }

    private func modelFolders() throws -> [String: URL] {
        var found: [String: URL] = [:]
        for (name, path) in try store.modelFolders() { found[name] = URL(fileURLWithPath: path) }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: modelFolder.path)) ?? []
        for name in names { found[name] = modelFolder.appendingPathComponent(name) }
        // The folder may be a model itself.
        found[modelFolder.lastPathComponent] = modelFolder
        return found.filter {
            FileManager.default.fileExists(atPath: $0.value.appendingPathComponent("model.json").path)
        }
    }

    /// The model of a run; nil where it is no longer at hand, or its name is another model's by now. It blocks.
    func model(_ name: String, fingerprint: String) throws -> SegmentationModel? {
        guard try modelFolders()[name] != nil else { return nil }
        let found = try model(name)
        return found.fingerprint == fingerprint ? found : nil
    }

    /// Loads a model, or finds it loaded. It blocks.
    func model(_ name: String) throws -> SegmentationModel {
        try modelLock.withLock {
            let folder = try modelFolder(name)
            // A model that is trained anew in its folder is another one.
            let stamp = ["weights.safetensors", "model.json"]
                .map { SlideFile(folder.appendingPathComponent($0)).stamp ?? "" }.joined(separator: " ")
            if let known = state.withLock({ $0.models[name] }), known.stamp == stamp { return known.model }
            let model = try SegmentationModel(folder)
            state.withLock { state in
                if state.models.count >= 4 { state.models = [:] }
                state.models[name] = (model, stamp)
            }
            return model
        }
    }
}
