internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import WholeSlide

/// Pictures of slides.
extension GraticuleService {
    /// A slide may be replaced: a browser asks again, and is told by the tag that it has the picture.
    private static let kept = "private, max-age=60"

    func addTiles(to router: Router<Context>) {
        router.get("/slides/{id}.dzi") { _, context in try await descriptor(context) }
        router.get("/slides/{id}_files/{level}/{tile}.jpeg") { try await tile($0, $1) }
        router.get("/slides/{id}/thumbnail.jpeg") { try await thumbnail($0, $1) }
        router.get("/slides/{id}/region.jpeg") { try await region($0, $1) }
        router.get("/slides/{id}/associated/{name}.jpeg") { try await associatedImage($0, $1) }
        router.get("/api/slides/{id}/probability/{level}/{tile}.png") { try await probability($0, $1) }
    }

    private func descriptor(_ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let open = try await tileWork.run(key: entry.id) { try library.opened(entry) }
        return Response(
            status: .ok, headers: [.contentType: "application/xml", .cacheControl: "private, max-age=60"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: open.pyramid.descriptor)))
    }

    private func tile(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let (level, column, row) = try GraticuleService.address(context)
        let key = "\(entry.id)/\(entry.stamp)/\(level)/\(column)_\(row)"
        if let known = tiles[key] { return known.response(to: request, cacheControl: GraticuleService.kept) }
        let tile = try await tileWork.run(key: entry.id) {
            if let known = tiles[key] { return known }
            let pyramid = try library.opened(entry).pyramid
            guard pyramid.frame(level: level, column: column, row: row) != nil else {
                throw HTTPError(.notFound, message: "there is no such tile")
            }
            let tile = try GraticuleService.jpeg(try pyramid.tile(level: level, column: column, row: row))
            tiles.insert(tile, for: key, cost: tile.data.readableBytes + 128)
            return tile
        }
        return tile.response(to: request, cacheControl: GraticuleService.kept)
    }

    private func thumbnail(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let key = "\(entry.id)/\(entry.stamp)/thumbnail"
        if let known = tiles[key] { return known.response(to: request, cacheControl: GraticuleService.kept) }
        let image = try await tileWork.run(key: entry.id) {
            let image = try GraticuleService.jpeg(try library.opened(entry).pyramid.thumbnail(side: 512))
            tiles.insert(image, for: key, cost: image.data.readableBytes + 128)
            return image
        }
        return image.response(to: request, cacheControl: GraticuleService.kept)
    }

    private func region(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        guard let x = try request.integer("x", in: -1_000_000...100_000_000),
            let y = try request.integer("y", in: -1_000_000...100_000_000),
            let side = try request.integer("side", in: 1...2048)
        else { throw HTTPError(.badRequest, message: "give x, y and side in level-0 pixels") }
        let image = try await tileWork.run(key: entry.id) {
            let slide = try library.opened(entry).slide
            let read = try slide.read(level: 0, levelX: x, levelY: y, width: side, height: side)
            return EncodedImage(
                try JPEG.encoded(read, quality: 92, subsamplesChroma: false), type: "image/jpeg")
        }
        return image.response(to: request, cacheControl: GraticuleService.kept)
    }

    private func associatedImage(_ request: Request, _ context: Context) async throws -> Response {
        guard options.showsLabels else {
            throw HTTPError(
                .forbidden,
                message: "label and macro images may name a patient: they are shown with --show-label only")
        }
        let entry = try library.entry(id: try context.parameters.require("id"))
        let name = try context.parameters.require("name")
        let image = try await tileWork.run(key: entry.id) {
            let slide = try library.opened(entry).slide
            guard slide.associatedImageNames.contains(name) else {
                throw HTTPError(.notFound, message: "the slide has no such image")
            }
            return try GraticuleService.jpeg(try slide.associatedImage(name))
        }
        return image.response(to: request, cacheControl: GraticuleService.kept)
    }

    private func probability(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let (level, column, row) = try GraticuleService.address(context)
        let run = try await run(of: entry, request)
        let key = "\(run.id)/\(level)/\(column)_\(row)"
        if let known = overlays[key] { return known.response(to: request, cacheControl: GraticuleService.kept) }
        let tile = try await networkWork.run {
            let open = try library.opened(entry)
            let overlay = ProbabilityOverlay(
                pyramid: open.pyramid, scale: SlideScale(micronsPerPixel: run.micronsPerPixel, source: .given),
                model: try library.model(run.model, fingerprint: run.modelFingerprint), store: views, run: run.id)
            guard let png = try overlay.png(level: level, column: column, row: row) else {
                throw HTTPError(.notFound, message: "there is no such tile")
            }
            return EncodedImage(png, type: "image/png")
        }
        guard run.status == "done" else { return tile.response(to: request, cacheControl: "no-store") }
        overlays.insert(tile, for: key, cost: tile.data.readableBytes + 128)
        return tile.response(to: request, cacheControl: GraticuleService.kept)
    }

    private static func jpeg(_ image: RGBImage) throws -> EncodedImage {
        EncodedImage(try JPEG.encoded(image, quality: 82, subsamplesChroma: true), type: "image/jpeg")
    }

    private static func address(_ context: Context) throws -> (level: Int, column: Int, row: Int) {
        let parts = try context.parameters.require("tile").split(separator: "_", omittingEmptySubsequences: false)
        guard let level = Int(try context.parameters.require("level")), parts.count == 2, let column = Int(parts[0]),
            let row = Int(parts[1])
        else { throw HTTPError(.badRequest, message: "tiles are named level/column_row in whole numbers") }
        return (level, column, row)
    }
}
