internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import ResultStore

/// SQL by hand.
extension GraticuleService {
    private struct Question: Decodable {
        let sql: String
    }

    func addQuery(to router: Router<Context>) {
        router.post("/api/query") { request, _ in
            // With its length known a body cannot outgrow the limit while its end is watched for.
            guard let length = request.headers[.contentLength].flatMap(Int.init) else {
                throw HTTPError(.lengthRequired, message: "send the query's Content-Length")
            }
            guard length <= JSONBody.mostBytes else {
                throw HTTPError(.contentTooLarge, message: "the request is larger than \(JSONBody.mostBytes) bytes")
            }
            let answer = try await GraticuleService.whileConnected(request) { body in
                let question = try JSONBody.decode(
                    Question.self, from: try await body.collect(upTo: JSONBody.mostBytes), keys: ["sql"])
                return try await queries.answer(question.sql)
            }
            // The sandbox reads columns with paths as NULL.
            var response = JSONBody.response(json: answer)
            // Watching for the client's end takes the connection.
            response.headers[.connection] = "close"
            return response
        }
    }

    /// Works on a request as long as its client is there: a client that goes away takes the work with it.
    private static func whileConnected<Result: Sendable>(
        _ request: Request, _ body: @escaping @Sendable (RequestBody) async throws -> Result
    ) async throws -> Result {
        try await request.body.consumeWithCancellationOnInboundClose { try await body($0) }
    }
}
