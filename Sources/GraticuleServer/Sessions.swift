internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import Synchronization

/// Browsers that have logged in: a cookie holds a random number, never the token.
final class Sessions: Sendable {
    private let sessions = Mutex<[String: Date]>([:])

    /// How long a session lasts.
    static let seconds = 12 * 3600.0
    private static let most = 1000

    /// Begins a session.
    ///
    /// - Returns: what the cookie holds, 64 hexadecimal digits.
    func begin() -> String {
        var generator = SystemRandomNumberGenerator()
        let name = (0..<4).map { _ in
            let digits = String(generator.next(), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
        sessions.withLock { sessions in
            let now = Date()
            sessions = sessions.filter { $0.value > now }
            if sessions.count >= Sessions.most, let oldest = sessions.min(by: { $0.value < $1.value }) {
                sessions[oldest.key] = nil
            }
            sessions[name] = now.addingTimeInterval(Sessions.seconds)
        }
        return name
    }

    func isOpen(_ name: String) -> Bool { sessions.withLock { $0[name].map { $0 > Date() } ?? false } }

    func end(_ name: String) { sessions.withLock { $0[name] = nil } }
}

/// Slows clients down that show wrong tokens, each by itself.
///
/// A bearer token is not slowed: many programs may share an address, and one that is set up wrongly must not lock out the others.
final class WrongTokens: Sendable {
    private struct Client {
        var failures = 0
        var waitsUntil = Date.distantPast
    }

    private let clients = Mutex<[String: Client]>([:])
    private let now: @Sendable () -> Date

    /// Wrong tokens that cost nothing; each further one costs twice as long as the one before, from 2 s on.
    static let free = 3
    static let longest = 300.0
    private static let most = 10_000

    /// - Parameter now: the time; another one in tests.
    init(now: @escaping @Sendable () -> Date = { Date() }) {
        self.now = now
    }

    /// Looks at a token, unless its client has to wait.
    ///
    /// A client that waits is not told whether the token would have been right: otherwise it could guess on.
    ///
    /// - Throws: ``HTTPError`` 429 where it has to wait.
    /// - Returns: whether the token is right.
    func check(_ shown: String, against token: String, of client: String, logger: Logger) throws(HTTPError) -> Bool {
        let time = now()
        let isRight = Secret.isEqual(shown, token)
        let wait = clients.withLock { clients -> Int? in
            var entry = clients[client] ?? Client()
            let left = entry.waitsUntil.timeIntervalSince(time)
            guard left <= 0 else { return max(1, Int(left.rounded(.up))) }
            if isRight {
                clients[client] = nil
                return nil
            }
            if clients.count >= WrongTokens.most { clients = clients.filter { $0.value.waitsUntil > time } }
            // Whoever has so many addresses is not slowed by them; memory is what is bounded here.
            if clients.count >= WrongTokens.most { clients = [:] }
            entry.failures += 1
            let extra = entry.failures - WrongTokens.free
            if extra > 0 {
                entry.waitsUntil = time.addingTimeInterval(min(WrongTokens.longest, pow(2, Double(min(extra, 20)))))
            }
            clients[client] = entry
            return nil
        }
        if let wait {
            throw HTTPError(
                .tooManyRequests, headers: [.retryAfter: String(wait)],
                message: "too many wrong tokens: try again in \(wait) s")
        }
        if !isRight { logger.warning("wrong token from \(client)") }
        return isRight
    }
}
