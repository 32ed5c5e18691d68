internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Lymphocytes
internal import ResultStore
internal import WholeSlide

/// The network on what is clicked.
extension GraticuleService {
    private struct Place: Decodable {
        /// Identifier.
        let slide: String
        /// The square's top left corner and side, level-0 px.
        let x: Double
        let y: Double
        let size: Double
        let model: String?
    }

    private struct Prediction: Encodable {
        let frame: RegionPrediction.Frame
        let meanProbability: Double
        let cells: Int
        let seconds: Double
        let model: String
    }

    func addPrediction(to router: Router<Context>) {
        router.post("/api/predict") { request, _ in
            let place = try await JSONBody.decode(
                Place.self, from: request, keys: ["slide", "x", "y", "size", "model"])
            let entry = try library.entry(id: place.slide)
            let start = Date()
            // A slide that does not answer must not hold the network's one thread.
            _ = try await tileWork.run(key: entry.id) { try library.opened(entry) }
            let (prediction, model) = try await networkWork.run(isUrgent: true) {
                let names = try library.modelNames()
                guard let name = place.model ?? names.first else {
                    throw HTTPError(.notFound, message: "there is no model at hand: start the service with --models")
                }
                let model = try library.model(name)
                let open = try library.opened(entry)
                let scale = try open.scale ?? open.slide.scale(given: options.givenScale)
                return (
                    try RegionPrediction(
                        slide: open.slide, scale: scale, model: model, x: place.x, y: place.y, side: place.size), name
                )
            }
            let features = try CellFeatures.cells(prediction.cells)
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            let summary = try encoder.encode(
                Prediction(
                    frame: prediction.frame, meanProbability: prediction.meanProbability,
                    cells: prediction.cells.count, seconds: Date().timeIntervalSince(start), model: model))
            return JSONBody.response(
                json: Data("{\"prediction\":".utf8) + summary + Data(",\"features\":".utf8) + features + Data("}".utf8))
        }
    }
}
