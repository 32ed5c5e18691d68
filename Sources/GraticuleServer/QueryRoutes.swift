internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import ResultStore

/// SQL by hand.
extension GraticuleService {
    private struct Question: Decodable {
        let sql: String
    }

    private struct Answer: Encodable {
        let columns: [String]
        let rows: [[Cell]]
        let cutOff: Bool
        let seconds: Double
    }

    private enum Cell: Encodable {
        case value(ResultStore.Value)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            guard case .value(let value) = self else { return }
            switch value {
            case .null: try container.encodeNil()
            case .integer(let number): try container.encode(number)
            case .real(let number): try container.encode(number)
            case .text(let text): try container.encode(text)
            case .blob(let bytes): try container.encode("(\(bytes.count) bytes)")
            }
        }
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
            let cancellation = QuerySandbox.Cancellation()
            let start = Date()
            let sandbox = QuerySandbox(views)
            let table = try await withTaskCancellationHandler {
                // A client that goes away takes its query with it.
                try await request.body.consumeWithInboundCloseHandler { body in
                    let question = try JSONBody.decode(
                        Question.self, from: try await body.collect(upTo: JSONBody.mostBytes))
                    return try await queryWork.run { try sandbox.run(question.sql, cancellation: cancellation) }
                } onInboundClosed: {
                    cancellation.cancel()
                }
            } onCancel: {
                cancellation.cancel()
            }
            var response = JSONBody.response(
                Answer(
                    columns: table.columns, rows: table.rows.map { $0.map { .value($0) } }, cutOff: table.isCutOff,
                    seconds: Date().timeIntervalSince(start)))
            // Watching for the client's end takes the connection.
            response.headers[.connection] = "close"
            return response
        }
    }
}
