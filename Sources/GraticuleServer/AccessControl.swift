internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging

/// Who may ask, and what a browser may do with the answer.
///
/// - A request must name this service in `Host`: otherwise a foreign page could reach it by a name of its own that leads to
///   127.0.0.1 (DNS rebinding).
/// - What changes something, or asks the database, must come from our own pages: `Origin` must be ours, and the body JSON.
/// - Where there is a token, a request shows it as bearer, or the cookie of a session that the login page began.
struct AccessControl: RouterMiddleware {
    typealias Context = GraticuleService.Context

    let token: String?
    /// Values of `Host` that are ours; nil for any, where a token is asked for.
    let hosts: Set<String>?
    let sessions: Sessions
    /// What a browser shows where there is no page.
    let missingPage: EncodedImage
    let logger: Logger

    static var cookieName: String { "graticule" }
    /// Reachable without a token.
    private static var open: Set<String> { ["/login", "/healthz", "/viewer/style.css"] }

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var response: Response
        do {
            try check(request, of: context.client)
            response = try await next(request, context)
        } catch let refusal as Redirect {
            response = Response(status: .seeOther, headers: [.location: refusal.path])
        } catch {
            response = self.response(for: error, request: request)
            if response.status == .notFound, request.method == .get,
                request.headers[.accept]?.contains("text/html") == true
            {
                response = missingPage.response(to: request, cacheControl: "no-store")
                response.status = .notFound
            }
        }
        response.headers[.contentSecurityPolicy] =
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
            + "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        response.headers[.xContentTypeOptions] = "nosniff"
        if let name = HTTPField.Name("Referrer-Policy") { response.headers[name] = "same-origin" }
        if let name = HTTPField.Name("Cross-Origin-Resource-Policy") { response.headers[name] = "same-origin" }
        if let name = HTTPField.Name("Cross-Origin-Opener-Policy") { response.headers[name] = "same-origin" }
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        return response
    }

    private struct Redirect: Error {
        let path: String
    }

    private func check(_ request: Request, of client: String) throws {
        let host = request.head.authority ?? ""
        if let hosts, !hosts.contains(host.lowercased()) {
            throw HTTPError(.misdirectedRequest, message: "this service does not go by the name '\(host.prefix(100))'")
        }
        // Behind a proxy with TLS our own pages are https; such a service has a token.
        let own = ["http://\(host.lowercased())"] + (hosts == nil ? ["https://\(host.lowercased())"] : [])
        if let origin = request.headers[.origin], !own.contains(origin.lowercased()) {
            throw HTTPError(.forbidden, message: "requests from other sites are refused")
        }
        // A link in a colleague's mail may lead here; a foreign page may not read from here.
        let isNavigation =
            request.method == .get && HTTPField.Name("Sec-Fetch-Mode").flatMap { request.headers[$0] } == "navigate"
        if let name = HTTPField.Name("Sec-Fetch-Site"), let site = request.headers[name],
            !["same-origin", "none"].contains(site), !isNavigation
        {
            throw HTTPError(.forbidden, message: "requests from other sites are refused")
        }
        if [.post, .put, .patch].contains(request.method), request.uri.path != "/login" {
            guard (request.headers[.contentType] ?? "").lowercased().hasPrefix("application/json") else {
                throw HTTPError(.unsupportedMediaType, message: "send JSON (Content-Type: application/json)")
            }
        }
        guard let token, !AccessControl.open.contains(request.uri.path) else { return }
        let bearer = request.headers[.authorization].flatMap { value -> String? in
            value.lowercased().hasPrefix("bearer ") ? String(value.dropFirst("bearer ".count)) : nil
        }
        let isKnown =
            if let bearer {
                Secret.isEqual(bearer, token)
            } else {
                request.cookies[AccessControl.cookieName].map { sessions.isOpen($0.value) } ?? false
            }
        if bearer != nil, !isKnown { logger.warning("wrong bearer token from \(client)") }
        guard isKnown else {
            let wantsPage = request.method == .get && (request.headers[.accept] ?? "").contains("text/html")
            if wantsPage { throw Redirect(path: "/login") }
            throw HTTPError(
                .unauthorized, headers: [.wwwAuthenticate: "Bearer"], message: "show the token, or log in at /login")
        }
    }

    /// Every failure is one sentence in JSON.
    private func response(for error: any Error, request: Request) -> Response {
        let failure = ServiceFailure(error)
        // Clients are told a sentence; whoever runs the service needs the cause.
        // A client that went away, or a busy service, is no failure.
        let isBusy = error is CancellationError || failure.headers[.retryAfter] != nil
        if failure.status.code >= 500, !isBusy {
            logger.error(
                "\(request.method.rawValue) \(request.uri.path): \(failure.status.code), \(explanation(of: error))")
        }
        var response = JSONBody.response(["error": failure.message], status: failure.status)
        for field in failure.headers { response.headers[field.name] = field.value }
        return response
    }
}

/// Comparison of secrets.
enum Secret {
    /// Takes as long for a wrong first byte as for a wrong last one.
    static func isEqual(_ shown: String, _ secret: String) -> Bool {
        let (a, b) = (Array(shown.utf8), Array(secret.utf8))
        var difference = a.count ^ b.count
        for index in b.indices { difference |= Int((index < a.count ? a[index] : 0) ^ b[index]) }
        return difference == 0
    }
}
