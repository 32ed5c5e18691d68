internal import BatchWork
internal import Failures
internal import Foundation
internal import GeoRaster
internal import HTTPTypes
internal import Hummingbird
internal import LandCover
internal import NIOCore

/// What the map's page asks for.
extension MapService {
    private static let kept = "private, max-age=60"
    /// The most pixels that are predicted at once: 2048 × 2048.
    private static let mostPixels = 1 << 22

    func addMaps(to router: Router<Context>) {
        router.get("/api/maps") { _, _ in try await list() }
        router.get("/api/maps/{image}") { _, context in try await describe(context) }
        router.get("/api/maps/{image}/place") { try await place($0, $1) }
        router.get("/api/maps/{image}/map.tif") { try await download($0, $1) }
        router.post("/api/maps/{image}/predict") { try await predict($0, $1) }
        router.get("/maps/{image}/{layer}/{level}/{tile}") { try await tile($0, $1) }
    }

    private func entry(_ context: Context) async throws -> MapLibrary.Entry {
        let name = try context.parameters.require("image")
        return try await blocking { try library.entry(named: name.removingPercentEncoding ?? name) }
    }

    /// Work that blocks; what fails is told in its own words, without the server's folders.
    private func blocking<Value: Sendable>(
        _ queue: BlockingWork? = nil, isUrgent: Bool = false, key: String? = nil,
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        do {
            return try await (queue ?? tileWork).run(isUrgent: isUrgent, key: key, body)
        } catch let error as GeoRasterError {
            throw HTTPError(.unprocessableContent, message: withoutFolders(error.message))
        } catch let error as InputError {
            throw HTTPError(.unprocessableContent, message: withoutFolders(error.message))
        }
    }

    private func withoutFolders(_ text: String) -> String {
        var text = text
        // The longest first: one may lie in another.
        let folders = [
            options.maps.appendingPathComponent("images"), options.maps, options.coarse, options.truth, options.models,
            options.models?.deletingLastPathComponent(),
        ].compactMap { $0?.path }.filter { $0 != "/" }
        for folder in folders.sorted(by: { $0.count > $1.count }) {
            text = text.replacing(folder + "/", with: "").replacing(folder, with: "(folder)")
        }
        return text
    }

    // MARK: what there is

    private struct Class: Encodable {
        let value: Int
        let name: String
        /// As `#rrggbb`.
        let color: String

        static func all(_ classes: LandClasses) -> [Class] {
            classes.classes.enumerated().map { index, own in
                Class(
                    value: Int(classes.value(of: index)), name: own.name,
                    color: "#" + own.color.map { String(format: "%02x", $0) }.joined())
            }
        }
    }

    private struct List: Encodable {
        let images: [String]
        let models: [String]
    }

    private func list() async throws -> Response {
        let list = try await blocking {
            List(images: try library.entries(), models: library.modelNames())
        }
        return JSONBody.response(list)
    }

    private struct Description: Encodable {
        let name: String
        let width: Int
        let height: Int
        let bands: Int
        let levels: Int
        let tileSize: Int
        /// GDAL's six coefficients; nil for an image without a place.
        let transform: [Double]?
        let crs: String?
        /// Metres on the ground of a column and of a row, at the middle; nil for an image without a place.
        let metres: [Double]?
        /// Classes of the coarse raster; nil where there is none.
        let coarse: [Class]?
        let truth: [Class]?
    }

    private func describe(_ context: Context) async throws -> Response {
        let entry = try await entry(context)
        let description = try await blocking(key: entry.name) {
            let open = try library.opened(entry)
            let image = open.image
            return Description(
                name: entry.name, width: image.width, height: image.height, bands: image.bands,
                levels: open.tiles.levels, tileSize: RasterTiles.side, transform: image.transform?.coefficients,
                crs: image.crsName, metres: image.groundSize.map { [$0.column, $0.row] },
                coarse: open.coarse.map { _ in Class.all(options.classes) },
                truth: open.truth.map { _ in Class.all(options.labels) })
        }
        return JSONBody.response(description)
    }

    private struct Place: Encodable {
        let x: Double?
        let y: Double?
        let longitude: Double?
        let latitude: Double?
        let coarse: String?
        let truth: String?
    }

    /// What is known of a pixel.
    private func place(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try await entry(context)
        guard let column = try request.integer("column", in: 0...(1 << 24)),
            let row = try request.integer("row", in: 0...(1 << 24))
        else { throw HTTPError(.badRequest, message: "give column and row of a pixel") }
        let place = try await blocking(key: entry.name) {
            let open = try library.opened(entry)
            let image = open.image
            guard column < image.width, row < image.height else {
                throw HTTPError(.badRequest, message: "the image has \(image.width)×\(image.height) px")
            }
            func name(_ codes: GeoRaster?, _ classes: LandClasses) -> String? {
                guard let codes, let value = try? open.tiles.code(of: codes, column: column, row: row) else {
                    return nil
                }
                return classes.index(of: value).map { classes.names[$0] } ?? "value \(value)"
            }
            let own = image.transform?.place(column: Double(column) + 0.5, row: Double(row) + 0.5)
            let degrees = try? image.degrees(column: Double(column) + 0.5, row: Double(row) + 0.5)
            func finite(_ value: Double?) -> Double? { value.flatMap { $0.isFinite ? $0 : nil } }
            return Place(
                x: finite(own?.x), y: finite(own?.y), longitude: finite(degrees?.longitude),
                latitude: finite(degrees?.latitude),
                coarse: name(open.coarse, options.classes), truth: name(open.truth, options.labels))
        }
        return JSONBody.response(place)
    }

    // MARK: pictures

    private func tile(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try await entry(context)
        let layer = try context.parameters.require("layer")
        let name = try context.parameters.require("tile").split(separator: ".").first ?? ""
        let parts = name.split(separator: "_", omittingEmptySubsequences: false)
        guard let level = Int(try context.parameters.require("level")), parts.count == 2, let column = Int(parts[0]),
            let row = Int(parts[1])
        else { throw HTTPError(.badRequest, message: "tiles are named level/column_row in whole numbers") }
        let picture = try await blocking(key: entry.name) {
            let open = try library.opened(entry)
            let key = "\(entry.name)/\(open.stamp)/\(layer)/\(level)/\(column)_\(row)"
            if let known = pictures[key] { return known }
            let tiles = open.tiles
            let (data, type): (Data?, String)
            switch layer {
            case "image": (data, type) = (try tiles.photograph(level: level, column: column, row: row), "image/jpeg")
            case "coarse", "truth":
                guard let codes = layer == "coarse" ? open.coarse : open.truth else {
                    throw HTTPError(.notFound, message: "the image has no such layer")
                }
                data = try tiles.painted(
                    codes, classes: layer == "coarse" ? options.classes : options.labels, level: level, column: column,
                    row: row)
                type = "image/png"
            default: throw HTTPError(.notFound, message: "layers are image, coarse and truth")
            }
            guard let data else { throw HTTPError(.notFound, message: "there is no such tile") }
            let made = EncodedImage(data, type: type)
            pictures.insert(made, for: key, cost: data.count + 128)
            return made
        }
        return picture.response(to: request, cacheControl: MapService.kept)
    }

    // MARK: what a network finds

    private struct Wanted: Decodable {
        let model: String
        let x: Int
        let y: Int
        let width: Int
        let height: Int
    }

    private struct Found: Encodable {
        let x: Int
        let y: Int
        let width: Int
        let height: Int
        let labels: [Class]
        /// Base64 of two bytes a value, the lower first: of each label, row by row, its probability as 1 to 65535; 0 is no data.
        let probabilities: String
        let seconds: Double
        let warning: String?
    }

    private func predict(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try await entry(context)
        let wanted = try await JSONBody.decode(
            Wanted.self, from: request, keys: ["model", "x", "y", "width", "height"])
        let start = Date()
        let (found, warning) = try await predict(entry, wanted)
        return JSONBody.response(
            Found(
                x: found.window.column, y: found.window.row, width: found.window.width, height: found.window.height,
                labels: Class.all(found.labels),
                probabilities: found.probabilities.map(\.littleEndian).withUnsafeBytes { Data($0) }
                    .base64EncodedString(),
                seconds: Date().timeIntervalSince(start), warning: warning))
    }

    /// - Throws: ``HTTPError`` where the window is too large, or beside the image.
    private func predict(
        _ entry: MapLibrary.Entry, _ wanted: Wanted
    ) async throws -> (found: LandPrediction, warning: String?) {
        let most = 1 << 24
        guard wanted.width >= 1, wanted.height >= 1 else {
            throw HTTPError(.badRequest, message: "width and height are whole numbers from 1")
        }
        guard wanted.width <= most, wanted.height <= most, wanted.width * wanted.height <= MapService.mostPixels else {
            throw HTTPError(
                .contentTooLarge,
                message:
                    "\(wanted.width)×\(wanted.height) px are no window that is predicted at once: up to \(MapService.mostPixels) px are; zoom in, or use graticule landcover map"
            )
        }
        // An image that does not answer must not hold the network's one thread.
        let open = try await blocking(key: entry.name) { try library.opened(entry) }
        let image = open.image
        guard (-most...most).contains(wanted.x), (-most...most).contains(wanted.y) else {
            throw HTTPError(.badRequest, message: "the window lies beside the image")
        }
        let (left, top) = (max(0, wanted.x), max(0, wanted.y))
        let (right, bottom) = (min(image.width, wanted.x + wanted.width), min(image.height, wanted.y + wanted.height))
        guard right > left, bottom > top else {
            throw HTTPError(.badRequest, message: "the window lies beside the image")
        }
        let window = GeoRaster.Window(column: left, row: top, width: right - left, height: bottom - top)
        return try await blocking(networkWork, isUrgent: true) {
            let mapper = LandMapper(model: try library.model(wanted.model))
            return (try mapper.predict(window, of: image), mapper.scaleWarning(image).map(withoutFolders))
        }
    }

    private func download(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try await entry(context)
        let range = -(1 << 24)...(1 << 24)
        guard let model = request.uri.queryParameters["model"], let x = try request.integer("x", in: range),
            let y = try request.integer("y", in: range), let width = try request.integer("width", in: range),
            let height = try request.integer("height", in: range)
        else { throw HTTPError(.badRequest, message: "give model, x, y, width and height in pixels of the image") }
        let (found, _) = try await predict(
            entry, Wanted(model: String(model), x: x, y: y, width: width, height: height))
        let weights = try request.uri.queryParameters["weights"].map { try found.labels.weights(String($0)) }
        let data = try await blocking(key: entry.name) {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
                "graticule-\(UUID().uuidString)", isDirectory: true)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let file = folder.appendingPathComponent("map.tif")
            try found.write(weights: weights, image: library.opened(entry).image, to: file)
            return try Data(contentsOf: file)
        }
        let stem = (entry.name as NSString).deletingPathExtension
        let safe = String(
            stem.unicodeScalars.filter { CharacterSet.alphanumerics.contains($0) || "-_.".unicodeScalars.contains($0) }
                .map(Character.init).filter(\.isASCII))
        return Response(
            status: .ok,
            headers: [
                .contentType: "image/tiff", .cacheControl: "no-store",
                .contentDisposition: "attachment; filename=\"\(safe)-map.tif\"",
            ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }
}
