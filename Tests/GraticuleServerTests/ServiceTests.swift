import BatchWork
import Failures
import Foundation
import GraticuleTesting
import HTTPTypes
import Hummingbird
import LabelSuperResolution
import LandCover
import Logging
import Lymphocytes
import NIOCore
import NIOEmbedded
import Phantoms
import ResultStore
import Synchronization
import Testing

@testable import GraticuleServer

/// The service as its clients see it. What needs HTTP is in the scripts beside, which start the program itself.
@Suite(.serialized) struct ServiceTests {
    /// A folder with two slides, their heatmaps, a model, and the results of one of the slides.
    private func prepare(_ folder: URL) throws {
        let slides = folder.appendingPathComponent("slides")
        try FileManager.default.createDirectory(at: slides, withIntermediateDirectories: true)
        for name in ["phantom-1.svs", "phantom-2.svs"] {
            try FileManager.default.copyItem(
                at: PhantomFixture.folder.appendingPathComponent(name), to: slides.appendingPathComponent(name))
        }
        // A name that needs quoting everywhere, and a file that is no slide.
        try FileManager.default.copyItem(
            at: PhantomFixture.folder.appendingPathComponent("phantom-1.svs"),
            to: slides.appendingPathComponent("odd <b>name & 100% 🔬.svs"))
        try Data("no slide".utf8).write(to: slides.appendingPathComponent("broken.svs"))
        try FileManager.default.copyItem(
            at: PhantomFixture.folder.appendingPathComponent("heatmaps"),
            to: folder.appendingPathComponent("heatmaps"))
        let model = try PhantomFixture.savedModel(folder.appendingPathComponent("models/small"))
        let store = try ResultStore(folder.appendingPathComponent("results.sqlite"))
        var settings = SegmentationSettings()
        settings.tileSide = 256
        settings.threshold = 0.6
        var segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        segmenter.heatmaps = folder.appendingPathComponent("heatmaps")
        _ = try segmenter.segment(
            slides.appendingPathComponent("phantom-1.svs"), modelID: segmenter.registerModel()
        ) { _ in }
    }

    private func run(script name: String, prepare: ((URL) throws -> Void)? = nil) throws {
        let python = try #require(Subprocess.peersPython)
        let script = try #require(
            Bundle.module.url(forResource: name, withExtension: "py", subdirectory: "Peers"))
        try TestFolders.withTemporary { folder in
            try (prepare ?? self.prepare)(folder)
            let result = try Subprocess.run(
                python,
                [
                    script.path, Subprocess.graticule, folder.path, TestFolders.shared?.path ?? "",
                    PhantomFixture.folder.path,
                ])
            #expect(result.status == 0, "\(result.output.suffix(2000))\n\(result.errors.suffix(3000))")
        }
    }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func theAPIAnswersAsDocumentedAndTilesAreThoseOfOpenSlide() throws { try run(script: "service_api") }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func attacksGetASentenceAndTheServiceStaysUp() throws { try run(script: "service_attacks") }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func aJobGoesOnAfterARestart() throws { try run(script: "service_jobs") }

    @Test(
        .enabled(
            if: Subprocess.peersPython != nil && FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium"),
            "needs the peers' libraries and Chromium: script/test"))
    func thePagesWorkInABrowser() throws { try run(script: "service_pages") }

    @Test(
        .enabled(
            if: Subprocess.peersPython != nil && FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium"),
            "needs the peers' libraries and Chromium: script/test"))
    func slidesAndCountsAreEnoughInABrowser() throws { try run(script: "service_counting") }

    @Test(
        .enabled(
            if: Subprocess.peersPython != nil && FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium"),
            "needs the peers' libraries and Chromium: script/test"))
    func theMapOfLandWorksInABrowser() throws { try run(script: "service_maps", prepare: prepareLand) }

    /// Synthetic land, and two models that have hardly learnt anything.
    private func prepareLand(_ folder: URL) throws {
        let land = folder.appendingPathComponent("land")
        try LandPhantom(folder: land, images: 2, size: 700, seed: 4).write()
        for (name, seed) in [("one", 1), ("two", 2)] {
            var training = LandCoverTraining(
                images: land.appendingPathComponent("images"), coarse: land.appendingPathComponent("coarse"),
                output: folder.appendingPathComponent("models/\(name)"), priors: try LandCoverPriors.table4())
            training.seed = UInt64(seed)
            training.adjust = { settings in
                settings.training.architecture.widths = [8, 12]
                settings.training.batchSize = 4
            }
            _ = try training.run(steps: 25, resume: false) { _ in }
        }
    }

    @Test func everyRouteOfTheMapIsInItsOpenAPIFile() throws {
        try TestFolders.withTemporary { folder in
            try LandPhantom(folder: folder, images: 1, size: 64, seed: 1).write()
            let service = try MapService(MapServiceOptions(maps: folder))
            try expectDocumented(service.router(), in: "openapi-maps.json")
            #expect(throws: InputError.self) {
                try MapService(MapServiceOptions(maps: folder.appendingPathComponent("none")))
            }
        }
    }

    private func expectDocumented(_ router: Router<GraticuleService.Context>, in name: String) throws {
        let routes = Set(
            router.routes.filter { $0.method != .head }.map { "\($0.method.rawValue.lowercased()) \($0.path)" })
        let file = TestFolders.root.appendingPathComponent("Sources/GraticuleServer/Viewer/\(name)")
        let document = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
        let paths = try #require(document["paths"] as? [String: [String: Any]])
        let documented = Set(paths.flatMap { path, methods in methods.keys.map { "\($0) \(path)" } })
        #expect(routes == documented)
    }

    @Test func everyRouteIsInTheOpenAPIFile() throws {
        try TestFolders.withTemporary { folder in
            let slides = folder.appendingPathComponent("slides")
            try FileManager.default.createDirectory(at: slides, withIntermediateDirectories: true)
            let service = try GraticuleService(
                ServiceOptions(results: folder.appendingPathComponent("r.sqlite"), slides: slides))
            try expectDocumented(service.router(), in: "openapi.json")
        }
    }

    @Test func onlyLoopbackGoesWithoutAToken() throws {
        try TestFolders.withTemporary { folder in
            var options = ServiceOptions(results: folder.appendingPathComponent("r.sqlite"), slides: folder)
            options.address.host = "0.0.0.0"
            #expect(throws: ServiceError.self) { try GraticuleService(options) }
            options.address.token = "short"
            #expect(throws: ServiceError.self) { try GraticuleService(options) }
            options.address.token = "0123456789abcdef"
            _ = try GraticuleService(options)
        }
    }

    /// A call may begin after the time was looked up.
    @Test func aCallThatBeganJustNowHasNoAgeYet() {
        let (earlier, later) = (DispatchTime(uptimeNanoseconds: 5), DispatchTime(uptimeNanoseconds: 2_000_000_005))
        #expect(BlockingWork.seconds(from: earlier, to: later) == 2)
        #expect(BlockingWork.seconds(from: later, to: earlier) == -2)
    }

    @Test func secretsAreComparedWhole() {
        #expect(Secret.isEqual("abcdef", "abcdef"))
        for wrong in ["", "abcde", "abcdeg", "bbcdef", "abcdefg"] { #expect(!Secret.isEqual(wrong, "abcdef")) }
    }

    @Test func aFullCacheForgetsWhatWasUsedLongestAgo() {
        let cache = BoundedCache<Int, String>(mostCost: 100)
        for key in 0..<10 { cache.insert("\(key)", for: key, cost: 10) }
        #expect(cache[0] == "0")
        cache.insert("new", for: 10, cost: 10)
        #expect(cache[0] == "0", "it was used just now")
        #expect(cache[1] == nil)
        #expect(cache[10] == "new")
        cache.insert("huge", for: 11, cost: 101)
        #expect(cache[11] == nil)
    }

    @Test func aSessionIsARandomNumberThatEnds() {
        let sessions = Sessions()
        let (one, other) = (sessions.begin(), sessions.begin())
        #expect(one.count == 64 && one != other)
        #expect(
            sessions.isOpen(one) && sessions.isOpen(other) && !sessions.isOpen("")
                && !sessions.isOpen(String(one.dropLast())))
        sessions.end(one)
        #expect(!sessions.isOpen(one) && sessions.isOpen(other))
    }

    @Test func wrongTokensAreSlowedByClient() throws {
        let time = Mutex(Date(timeIntervalSince1970: 0))
        let tokens = WrongTokens { time.withLock { $0 } }
        let logger = Logger(label: "test")
        func check(_ shown: String, of client: String) -> String {
            do throws(HTTPError) {
                return try tokens.check(shown, against: "right", of: client, logger: logger) ? "in" : "out"
            } catch { return "wait \(error.headers[.retryAfter] ?? "")" }
        }
        #expect((0..<4).map { _ in check("wrong", of: "a") } == ["out", "out", "out", "out"])
        #expect(check("wrong", of: "a") == "wait 2")
        #expect(check("right", of: "a") == "wait 2", "who waits learns nothing")
        #expect(check("right", of: "b") == "in", "each client by itself")
        time.withLock { $0 += 2 }
        #expect(check("wrong", of: "a") == "out")
        #expect(check("wrong", of: "a") == "wait 4")
        time.withLock { $0 += 4 }
        #expect(check("right", of: "a") == "in")
        #expect((0..<4).map { _ in check("wrong", of: "a") } == ["out", "out", "out", "out"], "a right one forgives")
    }

    @Test func aCallThatHangsCostsOnlyItself() async throws {
        let work = BlockingWork(name: "test", threads: 1, mostWaiting: 3, seconds: 2)
        let end = DispatchSemaphore(value: 0)
        let hanging = Task {
            try await work.run(key: "dead") { end.wait() }
        }
        try await Task.sleep(for: .milliseconds(100))
        // Another call about the dead thing waits for it; one about something else is not held up.
        let behind = Task { try await work.run(key: "dead") { 1 } }
        let answer = try await work.run(key: "alive") { 2 }
        #expect(answer == 2)
        await #expect(throws: HTTPError.self) { try await hanging.value }
        await #expect(throws: HTTPError.self) { try await behind.value }
        end.signal()
        try await Task.sleep(for: .milliseconds(200))
        let after = try await work.run(key: "dead") { 3 }
        #expect(after == 3, "it is free again")
    }

    @Test func workBeyondTheBoundIsTurnedAway() async throws {
        let work = BlockingWork(name: "test", threads: 1, mostWaiting: 2)
        let end = DispatchSemaphore(value: 0)
        async let first: Void = work.run { end.wait() }
        async let second: Void = work.run { end.wait() }
        try await Task.sleep(for: .milliseconds(100))
        await #expect(throws: HTTPError.self) { try await work.run {} }
        end.signal()
        end.signal()
        _ = try await (first, second)
        try await work.run {}
    }

    @Test func connectionsThatWaitMakeRoom() throws {
        let table = ConnectionTable(most: 3, mostOfClient: 2)
        func channel(_ address: String) throws -> EmbeddedChannel {
            let channel = EmbeddedChannel()
            try channel.connect(to: SocketAddress(ipAddress: address, port: 1)).wait()
            table.add(channel)
            return channel
        }
        let first = try channel("10.0.0.1")
        let working = try channel("10.0.0.1")
        table.set(working, isWaiting: false)
        let third = try channel("10.0.0.1")
        #expect(
            !first.isActive && working.isActive && third.isActive,
            "two of a client; the one that has waited longest goes")
        let fourth = try channel("10.0.0.2")
        let fifth = try channel("10.0.0.3")
        #expect(fifth.isActive && fourth.isActive && working.isActive && !third.isActive, "three in all")
    }

    @Test func resultsThatAreGoneAreSeen() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("r.sqlite")
            try Data("a".utf8).write(to: file)
            let watch = ResultsWatch(file, logger: Logger(label: "test"))
            #expect(watch.failure == nil)
            try Data("b".utf8).write(to: file, options: .atomic)
            #expect(
                watch.failure?.description.hasPrefix("results file \(file.path) was replaced while it was served: ")
                    == true)
            try FileManager.default.removeItem(at: file)
            #expect(
                watch.failure?.description.hasPrefix("results file \(file.path) was deleted while it was served: ")
                    == true)
        }
    }
}
