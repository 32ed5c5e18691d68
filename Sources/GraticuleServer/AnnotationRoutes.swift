internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import ResultStore
internal import WholeSlide

/// What readers draw and mark on a slide.
extension GraticuleService {
    private struct Area: Encodable {
        let cells: Int
        /// Of the polygon, tissue or not; nil where the slide has no scale.
        let squareMillimeters: Double?
        let cellsPerSquareMillimeter: Double?
        let coveredFraction: Double?
    }

    private struct NewAnnotation: Decodable {
        let kind: String
        let points: [[Double]]
        let cell: Int64?
        let note: String?
        let by: String
    }

    private static let mostCorners = 10_000
    private static let mostAnnotations = 100_000

    func addAnnotations(to router: Router<Context>) {
        router.get("/api/slides/{id}/area") { try await area($0, $1) }
        router.get("/api/slides/{id}/annotations") { _, context in try await annotations(context) }
        router.post("/api/slides/{id}/annotations") { try await addAnnotation($0, $1) }
        router.delete("/api/annotations/{annotation}") { _, context in try await removeAnnotation(context) }
    }

    private func area(_ request: Request, _ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let run = try await run(of: entry, request)
        let values = (request.uri.queryParameters["polygon"] ?? "").split(
            separator: ",", omittingEmptySubsequences: false
        ).map { Double($0) ?? .nan }
        guard values.count >= 6, values.count.isMultiple(of: 2), values.count <= 2 * GraticuleService.mostCorners,
            values.allSatisfy({ $0.isFinite && abs($0) <= 1e9 })
        else {
            throw HTTPError(
                .badRequest,
                message: "polygon must be x,y,x,y … of 3 to \(GraticuleService.mostCorners) corners in level-0 pixels")
        }
        let polygon = stride(from: 0, to: values.count, by: 2).map { (x: values[$0], y: values[$0 + 1]) }
        let least = try request.number("min_probability") ?? 0
        let found = try await storeWork.run {
            try views.cells(in: polygon, run: run.id, minProbability: least)
        }
        var twice = 0.0
        for (one, other) in zip(polygon, polygon.dropFirst() + polygon.prefix(1)) {
            twice += one.x * other.y - other.x * one.y
        }
        let square = abs(twice) / 2 * run.micronsPerPixel * run.micronsPerPixel
        return JSONBody.response(
            Area(
                cells: found.count, squareMillimeters: square / 1e6,
                cellsPerSquareMillimeter: square > 0 ? Double(found.count) / square * 1e6 : nil,
                coveredFraction: square > 0 ? found.areaSquareMicrons / square : nil))
    }

    private func annotations(_ context: Context) async throws -> Response {
        let entry = try library.entry(id: try context.parameters.require("id"))
        let found = try await storeWork.run { try views.annotations(ofSlide: entry.file.title) }
        return JSONBody.response(json: try AnnotationFeatures.encoded(found))
    }

    private func addAnnotation(_ request: Request, _ context: Context) async throws -> Response {
        try needsWriting()
        let entry = try library.entry(id: try context.parameters.require("id"))
        let new = try await JSONBody.decode(
            NewAnnotation.self, from: request, keys: ["kind", "points", "cell", "note", "by"])
        let by = new.by.trimmingCharacters(in: .whitespacesAndNewlines)
        guard (1...100).contains(by.count) else {
            throw HTTPError(.badRequest, message: "say who marks, in at most 100 characters")
        }
        guard let kind = AnnotationRecord.Kind(rawValue: new.kind) else {
            throw HTTPError(.badRequest, message: "the kind is region, wrong or missing")
        }
        let corners = kind == .region ? 3...GraticuleService.mostCorners : 1...1
        guard corners.contains(new.points.count),
            new.points.allSatisfy({ $0.count == 2 && $0.allSatisfy { $0.isFinite && abs($0) <= 1e9 } })
        else {
            throw HTTPError(
                .badRequest,
                message: kind == .region
                    ? "a region has 3 to \(GraticuleService.mostCorners) corners in level-0 pixels"
                    : "a mark has one place in level-0 pixels")
        }
        guard (new.note ?? "").count <= 500 else {
            throw HTTPError(.badRequest, message: "a note has at most 500 characters")
        }
        let slide = try await tileWork.run(key: entry.id) { try library.opened(entry).slide }
        guard
            new.points.allSatisfy({
                (0...Double(slide.width)).contains($0[0]) && (0...Double(slide.height)).contains($0[1])
            })
        else { throw HTTPError(.badRequest, message: "that place does not lie on the slide") }
        let annotation = AnnotationRecord(
            slide: entry.file.title, kind: kind, points: new.points, cell: new.cell, note: new.note ?? "", reader: by)
        let stored = try await writeWork.run {
            guard try views.annotations(ofSlide: annotation.slide).count < GraticuleService.mostAnnotations else {
                throw HTTPError(.conflict, message: "the slide has too many marks: remove some")
            }
            return try store.addAnnotation(annotation)
        }
        return JSONBody.response(stored, status: .created)
    }

    private func removeAnnotation(_ context: Context) async throws -> Response {
        try needsWriting()
        guard let id = Int64(try context.parameters.require("annotation")),
            try await writeWork.run({ try store.removeAnnotation(id) })
        else { throw HTTPError(.notFound, message: "there is no such mark") }
        return JSONBody.response(["removed": id])
    }
}

/// Annotations as GeoJSON; coordinates are level-0 px.
enum AnnotationFeatures {
    private struct Properties: Encodable {
        let id: Int64?
        let kind: String
        let cell: Int64?
        let note: String
        let reader: String
        let madeAt: String?
    }

    static func encoded(_ annotations: [AnnotationRecord]) throws -> Data {
        let features = annotations.map { annotation in
            let isRegion = annotation.kind == .region
            return GeoFeature(
                geometry: isRegion
                    ? .polygon([annotation.points + annotation.points.prefix(1)])
                    : .point(annotation.points.first ?? [0, 0]),
                properties: Properties(
                    id: annotation.id, kind: annotation.kind.rawValue, cell: annotation.cell, note: annotation.note,
                    reader: annotation.reader, madeAt: annotation.madeAt))
        }
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return try encoder.encode(GeoFeatures(features: features))
    }
}
