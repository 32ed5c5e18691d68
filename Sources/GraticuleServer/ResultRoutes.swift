internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import LabelSuperResolution
internal import Lymphocytes
internal import NIOCore
internal import Raster
internal import ResultStore
internal import WholeSlide

/// What has been found.
extension GraticuleService {
    private struct SlideItem: Encodable {
        let id: String?
        let name: String
        let runs: [Run]
    }

    /// A run without what is the service's own: paths and hashes.
    private struct Run: Encodable {
        let overview: RunOverview

        private enum Keys: String, CodingKey { case path, identity }

        func encode(to encoder: any Encoder) throws {
            try overview.encode(to: encoder)
            var container = encoder.container(keyedBy: Keys.self)
            try container.encodeNil(forKey: .path)
            try container.encodeNil(forKey: .identity)
        }
    }

    private struct SlideDetail: Encodable {
        let id: String
        let name: String
        let width: Int
        let height: Int
        let micronsPerPixel: Double?
        let objectivePower: Double?
        let levels: Int
        let tileSize: Int
        let properties: [String: String]
        let associatedImages: [String]
        let runs: [Run]
        /// What people must know of the slide's results.
        let notice: String?
    }

    private struct Evaluation: Encodable {
        let overview: EvaluationOverview
        /// False and true positive rate.
        let roc: [[Double]]
        let darknessRoc: [[Double]]
        let reliability: [Reliability.Bin]
    }

    /// The run that a request names, or the latest of the slide.
    ///
    /// - Throws: 409 where there are results of another file that lay at the slide's place: they are not drawn over this one.
    func run(of entry: SlideLibrary.Entry, _ request: Request) async throws -> RunReference {
        let wanted = try request.integer("run", in: 1...Int(Int32.max)).map(Int64.init)
        let identity = try await tileWork.run(key: entry.id) { try library.opened(entry).identity }
        let (own, other) = try await storeWork.run {
            let own = try views.run(ofSlide: entry.name, identity: identity, id: wanted)
            return (own, own == nil ? try views.run(ofSlide: entry.name, identity: nil, id: wanted) : nil)
        }
        if let own { return own }
        guard let other else {
            throw HTTPError(.notFound, message: "the slide has not been segmented, or has no such run")
        }
        // Results of before slides were known by their content.
        guard other.identity.hasPrefix("unknown-") else {
            throw HTTPError(.conflict, message: GraticuleService.replaced)
        }
        return other
    }

    private static let replaced =
        "the slide's file is not the one that these results are of: it was replaced, or another slide has its name; segment it again"

    /// The runs of a slide that is open, and whether there are others of its name and place.
    private static func runs(
        _ all: [RunOverview], of entry: SlideLibrary.Entry, identity: String
    ) -> (own: [RunOverview], notice: String?) {
        let own = all.filter { $0.identity == identity || $0.identity.hasPrefix("unknown-") }
        let isReplaced = own.isEmpty && all.contains { $0.path == entry.url.path }
        return (own, isReplaced ? replaced : nil)
    }

    func addResults(to router: Router<Context>) {
        router.get("/api/slides") { _, _ in try await slides() }
        router.get("/api/slides/{id}") { _, context in try await slide(context) }
        router.get("/api/slides/{id}/cells") { try await cells($0, $1) }
        router.get("/api/slides/{id}/regions") { try await regions($0, $1) }
        router.get("/api/slides/{id}/histogram") { try await histogram($0, $1) }
        router.get("/api/models") { _, _ in try await models() }
        router.get("/api/evaluations") { _, _ in try await evaluations() }
    }

    private func slides() async throws -> Response {
        let (entries, runs) = try await storeWork.run { (library.entries, try views.runs()) }
        // Slides are not opened for a list: their results are found by place, and by name where it is one slide's alone.
        let byPath = Dictionary(grouping: runs.filter { !$0.isReplaced }, by: \.path)
        let byName = Dictionary(grouping: runs.filter { !$0.isReplaced }, by: \.slide)
        var shown = Set<Int64>()
        var items = entries.map { entry in
            let sole = entry.file.sharesName ? nil : byName[entry.name]
            let own = byPath[entry.url.path] ?? sole.flatMap { Set($0.map(\.identity)).count == 1 ? $0 : nil } ?? []
            shown.formUnion(own.map(\.id))
            return SlideItem(id: entry.id, name: entry.file.title, runs: own.map(Run.init))
        }
        // Results whose slides are elsewhere, or were replaced, are listed too, without a picture.
        let rest = Dictionary(grouping: runs.filter { !shown.contains($0.id) }) { "\($0.slide)\n\($0.identity)" }
        items += rest.sorted { $0.key < $1.key }.map { _, runs in
            SlideItem(
                id: nil, name: runs[0].slide + (runs[0].isReplaced ? " (replaced since)" : ""),
                runs: runs.map(Run.init))
        }
        return withoutPaths(JSONBody.data(items))
    }

    private func slide(_ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let open = try await tileWork.run(key: entry.id) { try library.opened(entry) }
        let all = try await storeWork.run { try views.runs(ofSlide: entry.name) }
        let (runs, notice) = GraticuleService.runs(all, of: entry, identity: open.identity)
        // Descriptions and file names may hold a patient's name.
        let harmless = open.slide.properties.filter { key, _ in
            options.showsLabels
                || (key.hasPrefix("openslide.") && key != "openslide.comment" && !key.contains("associated"))
        }
        return withoutPaths(
            JSONBody.data(
                SlideDetail(
                    id: entry.id, name: entry.file.title, width: open.slide.width, height: open.slide.height,
                    micronsPerPixel: open.scale?.micronsPerPixel ?? runs.first?.micronsPerPixel,
                    objectivePower: open.slide.properties["openslide.objective-power"].flatMap(Double.init),
                    levels: open.pyramid.levels.count, tileSize: open.pyramid.tileSize, properties: harmless,
                    associatedImages: options.showsLabels ? open.slide.associatedImageNames : [],
                    runs: runs.map(Run.init),
                    notice: notice)))
    }

    private func cells(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let run = try await run(of: entry, request)
        let box = try GraticuleService.box(request)
        let limit = try request.integer("limit", in: 1...20_000) ?? 5000
        let least = try request.number("min_probability") ?? 0
        let data = try await storeWork.run {
            let tiles = try views.tiles(run: run.id, minX: box.minX, minY: box.minY, maxX: box.maxX, maxY: box.maxY)
            // Tiles at the edge count in proportion to what the rectangle shows of them.
            let expected = tiles.reduce(0.0) { $0 + Double($1.cells) * box.share(of: $1) }
            guard expected <= 2 * Double(limit) else { return try CellFeatures.clusters(tiles) }
            let cells = try views.cells(
                run: run.id, minX: box.minX, minY: box.minY, maxX: box.maxX, maxY: box.maxY,
                minProbability: least, limit: limit + 1)
            // All or none: some cells of many would look like all of them.
            return cells.count > limit ? try CellFeatures.clusters(tiles) : try CellFeatures.cells(cells)
        }
        return JSONBody.response(json: data)
    }

    private func regions(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let run = try await run(of: entry, request)
        let limit = try request.integer("limit", in: 1...200_000) ?? 50_000
        let regions = try await storeWork.run { try views.regions(run: run.id, limit: limit) }
        return JSONBody.response(regions)
    }

    private func histogram(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let run = try await run(of: entry, request)
        return JSONBody.response(try await storeWork.run { try views.cellsByProbability(run: run.id) })
    }

    private func models() async throws -> Response {
        JSONBody.response(try await storeWork.run { try library.modelNames() })
    }

    private func evaluations() async throws -> Response {
        let evaluations = try await storeWork.run {
            try views.evaluations().prefix(50).map { overview in
                let scores = try views.patchScores(evaluation: overview.id)
                let truth = scores.map(\.isLymphocyte)
                return Evaluation(
                    overview: overview,
                    roc: GraticuleService.points(
                        ROCCurve(scores: scores.map(\.logOdds), isPositive: truth)),
                    darknessRoc: GraticuleService.points(
                        ROCCurve(scores: scores.map(\.darkness), isPositive: truth)),
                    reliability: Reliability(
                        probabilities: scores.map { 1 / (1 + exp(-$0.logOdds)) }, isPositive: truth
                    ).bins)
            }
        }
        return JSONBody.response(evaluations)
    }

    private static func points(_ curve: ROCCurve) -> [[Double]] {
        // A plot needs no more than some hundreds.
        let step = max(1, curve.points.count / 400)
        return curve.points.enumerated().filter { $0.offset % step == 0 || $0.offset == curve.points.count - 1 }
            .map { [$0.element.falsePositiveRate, $0.element.truePositiveRate] }
    }

    private struct Box: Sendable {
        let minX: Double
        let minY: Double
        let maxX: Double
        let maxY: Double

        func share(of tile: TileOverview) -> Double {
            let width = max(0, min(maxX, tile.x + tile.width) - max(minX, tile.x))
            let height = max(0, min(maxY, tile.y + tile.height) - max(minY, tile.y))
            return width * height / max(1, tile.width * tile.height)
        }
    }

    private static func box(_ request: Request) throws(HTTPError) -> Box {
        guard let text = request.uri.queryParameters["bbox"] else {
            throw HTTPError(.badRequest, message: "give bbox=min_x,min_y,max_x,max_y in level-0 pixels")
        }
        let values = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) ?? .nan }
        guard values.count == 4, values.allSatisfy({ $0.isFinite && abs($0) <= 1e9 }), values[0] <= values[2],
            values[1] <= values[3]
        else {
            throw HTTPError(
                .badRequest, message: "bbox must be four numbers up to 10⁹: min_x,min_y,max_x,max_y in level-0 pixels")
        }
        return Box(minX: values[0], minY: values[1], maxX: values[2], maxY: values[3])
    }
}
