internal import BatchWork
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Lymphocytes
internal import NIOCore
internal import ResultStore
internal import ServiceLifecycle
internal import WholeSlide

/// The queue of segmentations and trainings.
extension GraticuleService {
    private struct NewJob: Decodable {
        /// Identifiers.
        let slides: [String]
        let model: String
    }

    private static let mostSlides = 10_000

    func addJobs(to router: Router<Context>) {
        router.get("/api/jobs") { _, _ in try await jobs() }
        router.get("/api/jobs/{job}") { _, context in try await job(context) }
        router.post("/api/jobs") { request, _ in try await addJob(request) }
        router.delete("/api/jobs/{job}") { _, context in try await cancelJob(context) }
        router.post("/api/jobs/{job}/retry") { _, context in try await retryJob(context) }
        router.get("/api/jobs/{job}/events") { try await jobEvents($0, $1) }
    }

    private func jobs() async throws -> Response {
        withoutPaths(JSONBody.data(try await storeWork.run { try views.jobs() }))
    }

    private func job(_ context: Context) async throws -> Response {
        let id = try GraticuleService.job(context)
        return withoutPaths(JSONBody.data(try await storeWork.run { try views.job(id) }))
    }

    private func addJob(_ request: Request) async throws -> Response {
        try needsWriting()
        let wanted = try await JSONBody.decode(NewJob.self, from: request, keys: ["slides", "model"])
        guard (1...GraticuleService.mostSlides).contains(wanted.slides.count) else {
            throw HTTPError(
                .badRequest, message: "a job has between 1 and \(GraticuleService.mostSlides) slides")
        }
        let names = try wanted.slides.map { try library.entry(id: $0).file.title }
        guard Set(names).count == names.count else {
            throw HTTPError(.badRequest, message: "a job names each slide once")
        }
        let job = try await writeWork.run {
            guard try library.modelNames().contains(wanted.model) else {
                throw HTTPError(.badRequest, message: "there is no model of that name at hand")
            }
            return try queue.add(model: wanted.model, slides: names)
        }
        return JSONBody.response(job, status: .created)
    }

    private func cancelJob(_ context: Context) async throws -> Response {
        let id = try GraticuleService.job(context)
        try needsWriting()
        let wasOpen = try await writeWork.run { try queue.cancel(id) }
        guard wasOpen else { throw HTTPError(.conflict, message: "the job has ended already") }
        return withoutPaths(JSONBody.data(try await storeWork.run { try views.job(id) }))
    }

    private func retryJob(_ context: Context) async throws -> Response {
        let id = try GraticuleService.job(context)
        try needsWriting()
        let isBack = try await writeWork.run { try queue.retry(id) }
        guard isBack else { throw HTTPError(.conflict, message: "the job has not ended, or nothing of it is left") }
        return withoutPaths(JSONBody.data(try await storeWork.run { try views.job(id) }))
    }

    private func jobEvents(_ request: Request, _ context: Context) async throws -> Response {
        let id = try GraticuleService.job(context)
        let events = try await writeWork.run { try queue.events(of: id) }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                let encoder = JSONEncoder()
                encoder.keyEncodingStrategy = .convertToSnakeCase
                encoder.outputFormatting = [.withoutEscapingSlashes]
                // It ends with the job, with the client, and when the service is asked to end.
                try? await request.body.consumeWithCancellationOnInboundClose { _ in
                    for await event in events.cancelOnGracefulShutdown() {
                        let json = withoutPaths(
                            text: String(decoding: try encoder.encode(JobEvent(event)), as: UTF8.self))
                        try await writer.write(ByteBuffer(string: "data: \(json)\n\n"))
                    }
                }
                try await writer.finish(nil)
            })
    }

    private static func job(_ context: Context) throws -> Int64 {
        guard let id = Int64(try context.parameters.require("job")), id > 0 else {
            throw HTTPError(.badRequest, message: "jobs are named by whole numbers")
        }
        return id
    }
}

/// An event of a job as a client is told of it.
private struct JobEvent: Encodable {
    let job: Int64
    let status: String
    let slide: String?
    let slidesDone: Int
    let slides: Int
    let tilesDone: Int
    let tiles: Int
    let cells: Int
    let tilesPerSecond: Double
    let secondsLeft: Double
    /// Of a training: the network in work, from 1, and its step.
    let network: Int?
    let networks: Int?
    let step: Int?
    let steps: Int?
    let loss: Double?
    let message: String?

    init(_ progress: LymphocyteQueue.Progress) {
        var segmentation: SlideSegmenter.Progress?
        var training: LymphocyteWorker.TrainingProgress?
        switch progress.report {
        case .segmentation(let report): segmentation = report
        case .training(let report): training = report
        case nil: break
        }
        job = progress.job
        status = progress.status
        slide = progress.item
        slidesDone = progress.itemsDone
        slides = progress.items
        tilesDone = segmentation?.tilesDone ?? 0
        tiles = segmentation?.tiles ?? 0
        cells = segmentation?.cells ?? 0
        tilesPerSecond = segmentation?.tilesPerSecond ?? 0
        secondsLeft = segmentation?.secondsLeft ?? training?.secondsLeft ?? 0
        network = training?.network
        networks = training?.networks
        step = training?.step
        steps = training?.steps
        loss = training?.loss
        message = progress.message
    }
}
