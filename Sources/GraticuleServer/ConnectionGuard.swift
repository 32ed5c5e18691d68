internal import Foundation
internal import NIOCore
internal import NIOHTTPTypes
internal import Synchronization

/// The connections of the service, so that those which wait make room for those which ask.
///
/// A connection that is open without a request in work – half a head, or none – costs nothing but its place. When places run
/// short, the one that has waited longest gives its own up: a client that opens a thousand and asks nothing locks nobody out.
final class ConnectionTable: Sendable {
    private struct Connection {
        let channel: any Channel
        let client: String
        /// Since when no request is in work, nanoseconds; nil while one is.
        var waitsSince: UInt64?
    }

    private let connections = Mutex<[ObjectIdentifier: Connection]>([:])
    private let most: Int
    private let mostOfClient: Int

    /// - Parameters:
    ///   - most: connections at once, below the number at which no further ones are taken.
    ///   - mostOfClient: of one address.
    init(most: Int, mostOfClient: Int) {
        self.most = most
        self.mostOfClient = mostOfClient
    }

    func add(_ channel: any Channel) {
        let client = channel.remoteAddress?.ipAddress ?? "local"
        let closed = connections.withLock { connections -> (any Channel)? in
            connections[ObjectIdentifier(channel)] = Connection(
                channel: channel, client: client, waitsSince: DispatchTime.now().uptimeNanoseconds)
            let own = connections.values.filter { $0.client == client }
            guard connections.count > most || own.count > mostOfClient else { return nil }
            let candidates = own.count > mostOfClient ? own : Array(connections.values)
            let oldest = candidates.filter { $0.waitsSince != nil }
                .min { ($0.waitsSince ?? .max) < ($1.waitsSince ?? .max) }
            let evicted = (oldest ?? connections[ObjectIdentifier(channel)])?.channel
            // Now, not when it is closed: meanwhile the next one would choose it again.
            if let evicted { connections[ObjectIdentifier(evicted)] = nil }
            return evicted
        }
        closed?.close(promise: nil)
    }

    func remove(_ channel: any Channel) {
        connections.withLock { connections in connections[ObjectIdentifier(channel)] = nil }
    }

    func set(_ channel: any Channel, isWaiting: Bool) {
        let now = isWaiting ? DispatchTime.now().uptimeNanoseconds : nil
        connections.withLock { connections in connections[ObjectIdentifier(channel)]?.waitsSince = now }
    }
}

/// Gives each request a deadline: its head must come soon after the connection is opened, and its body soon after the head.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let table: ConnectionTable
    private var deadline: Scheduled<Void>?
    private var isKnown = false

    /// A browser asks at once; between requests a connection may rest.
    private static let firstHead = TimeAmount.seconds(10)
    private static let nextHead = TimeAmount.seconds(75)
    /// The largest body is a megabyte.
    private static let body = TimeAmount.seconds(20)

    init(_ table: ConnectionTable) {
        self.table = table
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !isKnown else { return }
        isKnown = true
        table.add(context.channel)
        expect(ConnectionGuard.firstHead, context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end(context) }

    private func end(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = nil
        table.remove(context.channel)
    }

    private func expect(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: time) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            table.set(context.channel, isWaiting: false)
            expect(ConnectionGuard.body, context)
        case .body: break
        case .end:
            deadline?.cancel()
            deadline = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) {
            table.set(context.channel, isWaiting: true)
            expect(ConnectionGuard.nextHead, context)
        }
        context.write(data, promise: promise)
    }
}
