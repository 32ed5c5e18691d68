internal import BatchWork
internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import LabelSuperResolution
internal import Lymphocytes
internal import NIOCore
internal import Raster
internal import ResultStore
internal import WholeSlide

/// A failure as a client is told of it: a status and a sentence without paths of the server.
struct ServiceFailure {
    let status: HTTPResponse.Status
    let message: String
    var headers: HTTPFields = [:]

    init(_ error: any Error) {
        switch error {
        case let error as HTTPError:
            status = error.status
            message = error.body ?? error.status.reasonPhrase
            headers = error.headers
        case let error as StoreError where error.code == .query: (status, message) = (.badRequest, error.message)
        case let error as StoreError where error.code == .missing: (status, message) = (.notFound, error.message)
        case is StoreError: (status, message) = (.serviceUnavailable, "the results file cannot be read at present")
        case let error as SlideError where error.code == .scale:
            (status, message) = (
                .unprocessableContent, "the slide does not say how large its pixels are: start the service with --mpp"
            )
        case is SlideError: (status, message) = (.unprocessableContent, "the slide cannot be read there")
        case let error as InputError: (status, message) = (.unprocessableContent, error.message)
        case is MethodError: (status, message) = (.unprocessableContent, "the model cannot be used")
        case is DecodingError: (status, message) = (.badRequest, "the request's JSON is not what is expected here")
        case is NIOTooManyBytesError:
            (status, message) = (.contentTooLarge, "the request is larger than \(JSONBody.mostBytes) bytes")
        case is CancellationError: (status, message) = (.serviceUnavailable, "the service is ending")
        case let error as any HTTPResponseError: (status, message) = (error.status, error.status.reasonPhrase)
        default: (status, message) = (.internalServerError, "the service failed here; its log says more")
        }
    }
}

/// JSON in and out.
enum JSONBody {
    /// The most that a request may send.
    static let mostBytes = 1 << 20

    static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
        response(json: data(value), status: status)
    }

    static func data(_ value: some Encodable) -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return (try? encoder.encode(value)) ?? Data("{}".utf8)
    }

    static func response(json: Data, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: json)))
    }

    /// Decodes a request's body.
    ///
    /// - Parameter keys: the fields that a request may have.
    static func decode<Value: Decodable>(
        _ type: Value.Type, from request: Request, keys: Set<String>? = nil
    ) async throws -> Value {
        if let length = request.headers[.contentLength].flatMap(Int.init), length > mostBytes {
            throw HTTPError(.contentTooLarge, message: "the request is larger than \(mostBytes) bytes")
        }
        return try decode(type, from: try await request.body.collect(upTo: mostBytes), keys: keys)
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, from buffer: ByteBuffer, keys: Set<String>? = nil
    ) throws -> Value {
        let data = Data(buffer.readableBytesView)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let value = try decoder.decode(type, from: data)
        // A misspelt field would be taken for one that is left out.
        let given = (try? JSONSerialization.jsonObject(with: data) as? [String: Any])?.keys.sorted() ?? []
        if let keys, let unknown = given.first(where: { !keys.contains($0) }) {
            throw HTTPError(
                .badRequest,
                message: "there is no field '\(unknown.prefix(60))': there are \(keys.sorted().joined(separator: ", "))"
            )
        }
        return value
    }
}

/// Parameters of a request, checked.
extension Request {
    /// A finite number.
    func number(_ name: String) throws(HTTPError) -> Double? {
        guard let text = uri.queryParameters[Substring(name)] else { return nil }
        guard let value = Double(text), value.isFinite, abs(value) <= 1e12 else {
            throw HTTPError(.badRequest, message: "'\(name)' must be a number")
        }
        return value
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(HTTPError) -> Int? {
        guard let text = uri.queryParameters[Substring(name)] else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw HTTPError(
                .badRequest, message: "'\(name)' must be a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return value
    }
}
