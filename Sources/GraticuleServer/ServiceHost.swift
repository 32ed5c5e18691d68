internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import ServiceLifecycle
internal import UnixSignals

/// Where a service listens, and what a client must show.
public struct ServiceAddress: Sendable {
    public var host: String
    public var port: Int
    /// Needed on any address but loopback.
    public var token: String?

    public init(host: String = "127.0.0.1", port: Int = 8080, token: String? = nil) {
        (self.host, self.port, self.token) = (host, port, token)
    }

    /// Whether only this machine can reach the service.
    public var isLoopback: Bool { ["127.0.0.1", "::1", "localhost"].contains(host) }

    /// - Throws: ``ServiceError`` where others could reach the service without a token, or the token is none.
    func check() throws(ServiceError) {
        guard isLoopback || token != nil else {
            throw ServiceError(
                .unable, "other machines could reach \(host): give --token-file, or listen on 127.0.0.1")
        }
        if let token,
            token.utf8.count < 16 || !token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && !"\";,\\".utf8.contains($0) })
        {
            throw ServiceError(
                .unable,
                "the token must have 16 characters at least, letters, digits and signs without spaces, quotes, commas and semicolons"
            )
        }
        guard port > 0 else { throw ServiceError(.unable, "give a port above 0") }
    }
}

/// What every service has, whatever it shows: an address, who may ask, the pages' files, and limits on connections.
struct ServiceHost: Sendable {
    typealias Context = GraticuleService.Context

    let address: ServiceAddress
    let pages: PageFiles
    let logger: Logger
    private let sessions = Sessions()
    private let wrongTokens = WrongTokens()
    private let connections = ConnectionTable(
        most: ServiceHost.mostConnections - 124, mostOfClient: ServiceHost.mostConnections / 2)

    /// Connections at once; further ones wait.
    private static let mostConnections = 1024

    /// - Throws: ``ServiceError`` where the address asks for a token, or the pages are not there.
    init(_ address: ServiceAddress) throws {
        try address.check()
        self.address = address
        pages = try PageFiles()
        var logger = Logger(label: "graticule.serve")
        logger.logLevel = .warning
        self.logger = logger
    }

    /// A router with what every service answers.
    ///
    /// - Parameter failure: what is wrong with the service as a whole; nil where nothing is.
    func router(failure: @escaping @Sendable () -> ServiceError?) -> Router<Context> {
        ServiceMetrics.bootstrap()
        let router = Router(context: Context.self, options: [.autoGenerateHeadEndpoints])
        router.add(middleware: MetricsMiddleware())
        var hosts: Set<String>?
        if address.isLoopback {
            hosts = Set(["127.0.0.1", "localhost", "[::1]"].flatMap { [$0, "\($0):\(address.port)"] })
        }
        router.add(
            middleware: AccessControl(
                token: address.token, hosts: hosts, sessions: sessions, missingPage: pages.missing, logger: logger))
        addPage("/login", "login.html", to: router)
        router.get("/viewer/{file}") { request, context in
            try pages.file(try context.parameters.require("file")).response(to: request, cacheControl: "no-cache")
        }
        router.get("/healthz") { _, _ in
            guard let failure = failure() else { return JSONBody.response(["status": "ok"]) }
            logger.error("\(failure)")
            return JSONBody.response(
                ["status": "the results file was deleted or replaced"], status: .serviceUnavailable)
        }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: ServiceMetrics.shared.text)))
        }
        router.post("/login") { try await logIn($0, $1) }
        router.post("/logout") { request, _ in
            if let cookie = request.cookies[AccessControl.cookieName] { sessions.end(cookie.value) }
            var response = JSONBody.response(["status": "logged out"])
            for name in [AccessControl.cookieName, "graticule_session"] {
                response.headers.append(
                    HTTPField(name: .setCookie, value: "\(name)=; SameSite=Strict; Path=/; Max-Age=0"))
            }
            return response
        }
        return router
    }

    func addPage(_ path: RouterPath, _ file: String, to router: Router<Context>) {
        router.get(path) { request, _ in
            try pages.file(file).response(to: request, cacheControl: "no-cache")
        }
    }

    private func logIn(_ request: Request, _ context: Context) async throws -> Response {
        let form = try await request.body.collect(upTo: 4096)
        let shown =
            String(buffer: form).split(separator: "&").first { $0.hasPrefix("token=") }
            .map { $0.dropFirst("token=".count).replacing("+", with: " ") }?.removingPercentEncoding ?? ""
        guard let token = address.token,
            try wrongTokens.check(shown, against: token, of: context.client, logger: logger)
        else { return Response(status: .seeOther, headers: [.location: "/login?wrong"]) }
        let flags = "SameSite=Strict; Path=/; Max-Age=\(Int(Sessions.seconds))"
        var response = Response(status: .seeOther, headers: [.location: "/"])
        response.headers.append(
            HTTPField(
                name: .setCookie, value: "\(AccessControl.cookieName)=\(sessions.begin()); HttpOnly; \(flags)"))
        // For the pages: that there is something to log out of.
        response.headers.append(HTTPField(name: .setCookie, value: "graticule_session=1; \(flags)"))
        return response
    }

    /// Serves until SIGTERM or SIGINT; requests in work are answered, and services are told to end.
    ///
    /// - Parameter ready: called with the address once connections are taken.
    func run(
        _ router: Router<Context>, services: [any Service], ready: @escaping @Sendable (_ url: String) -> Void
    ) async throws {
        ServiceOptions.allowManyConnections()
        let (host, port) = (address.host.contains(":") ? "[\(address.host)]" : address.host, address.port)
        let application = Application(
            router: router,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [ConnectionGuard(connections)], idleTimeout: .seconds(75),
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))),
            configuration: .init(
                address: .hostname(address.host, port: port), serverName: nil, backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    ServiceHost.mostConnections, logger: logger)),
            services: services,
            onServerRunning: { channel in ready("http://\(host):\(channel.localAddress?.port ?? port)/") },
            logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                // They are told to end in reverse order: the deadline counts from the signal.
                services: [.init(service: application), .init(service: ShutdownDeadline())],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}
