internal import BatchWork
internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore

/// Training models from what was counted, and what there is to say of a model.
extension GraticuleService {
    private struct NewTraining: Decodable {
        let model: String
        let usesHeatmaps: Bool?
        let steps: Int?
        let seed: Int?
    }

    /// More would fill the disk with checkpoints' figures, and no preset asks for as many.
    private static let mostSteps = 20_000

    func addModels(to router: Router<Context>) {
        router.get("/api/state") { _, _ in try await state() }
        router.post("/api/train") { request, _ in try await train(request) }
        router.get("/api/models/{model}") { _, context in try await modelCard(context) }
        router.get("/api/models/{model}/preview.png") { request, context in
            try await modelPreview(request, context)
        }
    }

    /// What the pages need to know of the service.
    private struct State: Encodable {
        let models: [String]
        let hasHeatmaps: Bool
        let isReadOnly: Bool
    }

    private func state() async throws -> Response {
        let models = try await storeWork.run { try library.modelNames() }
        return JSONBody.response(
            State(models: models, hasHeatmaps: options.heatmaps != nil, isReadOnly: isReadOnly))
    }

    private func train(_ request: Request) async throws -> Response {
        try needsWriting()
        let wanted = try await JSONBody.decode(
            NewTraining.self, from: request, keys: ["model", "uses_heatmaps", "steps", "seed"])
        let name = try newModelName(wanted.model)
        guard (1...GraticuleService.mostSteps).contains(wanted.steps ?? 1),
            (0...Int(Int32.max)).contains(wanted.seed ?? 1)
        else {
            throw HTTPError(
                .badRequest,
                message: "steps are a whole number from 1 to \(GraticuleService.mostSteps), seed one from 0")
        }
        guard wanted.usesHeatmaps != true || options.heatmaps != nil else {
            throw HTTPError(.badRequest, message: "there are no heatmaps: start the service with --heatmaps DIR")
        }
        let counted = try await storeWork.run { try views.squareReadings().compactMap(CountedSquare.init) }
        let squares = SquareReadings.grouped(counted)
        if wanted.usesHeatmaps != true {
            do {
                try LymphocyteTraining.checkEnough(squares)
            } catch let error as InputError {
                throw HTTPError(.conflict, message: error.message)
            }
        }
        var counting = CellCounting()
        counting.learnReaderError(from: squares)
        let training = TrainingJob(
            squares: counted, counting: counting, usesHeatmaps: wanted.usesHeatmaps ?? false,
            seed: UInt64(wanted.seed ?? 1), steps: wanted.steps)
        let job = try await writeWork.run { () throws -> JobRecord in
            guard !FileManager.default.fileExists(atPath: options.modelsFolder.appendingPathComponent(name).path),
                try !library.modelNames().contains(name),
                try !views.jobs().contains(where: { $0.kind == "train" && $0.model == name && !$0.isEnded })
            else { throw HTTPError(.conflict, message: "there is a model named '\(name)' already: take another name") }
            do {
                try FileManager.default.createDirectory(
                    at: options.modelsFolder, withIntermediateDirectories: true)
            } catch {
                throw HTTPError(
                    .conflict, message: "the folder of models cannot be made: \(FileFailure.reason(error))")
            }
            return try queue.add(training, model: name)
        }
        return JSONBody.response(job, status: .created)
    }

    /// - Throws: ``HTTPError`` where a name could lead out of the folder, or is none that people can read.
    private func newModelName(_ text: String) throws(HTTPError) -> String {
        let name = text.trimmingCharacters(in: .whitespacesAndNewlines)
        let allowed = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-_. "))
        guard (1...60).contains(name.count), name.unicodeScalars.allSatisfy(allowed.contains), !name.hasPrefix(".")
        else {
            throw HTTPError(
                .badRequest,
                message:
                    "a model's name has 1 to 60 letters, digits, blanks and signs of '-_.', and does not begin with '.'"
            )
        }
        return name
    }

    /// The folder of a model, or of one that is being made.
    private func folder(ofModel context: Context) throws -> ModelFolder {
        let name = try context.parameters.require("model").removingPercentEncoding ?? ""
        if let known = try? library.modelFolder(name) { return ModelFolder(known) }
        let folder = options.modelsFolder.appendingPathComponent(try newModelName(name), isDirectory: true)
        guard FileManager.default.fileExists(atPath: ModelFolder(folder).previews.path) else {
            throw HTTPError(.notFound, message: "there is no model named '\(name)' at hand")
        }
        return ModelFolder(folder)
    }

    private func modelCard(_ context: Context) async throws -> Response {
        let card = try await tileWork.run { LymphocyteModelCard(try folder(ofModel: context)) }
        return JSONBody.response(card)
    }

    private func modelPreview(_ request: Request, _ context: Context) async throws -> Response {
        let image = try await tileWork.run { () throws -> EncodedImage in
            guard let preview = LymphocyteModelCard.newestPreview(try folder(ofModel: context)) else {
                throw HTTPError(.notFound, message: "there is no picture of that model yet")
            }
            return EncodedImage(try Data(contentsOf: preview), type: "image/png")
        }
        return image.response(to: request, cacheControl: "no-cache")
    }
}
