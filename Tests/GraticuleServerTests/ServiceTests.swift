import Foundation
import GraticuleTesting
import HTTPTypes
import Hummingbird
import Lymphocytes
import ResultStore
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

    private func run(script name: String) throws {
        let python = try #require(Subprocess.peersPython)
        let script = try #require(
            Bundle.module.url(forResource: name, withExtension: "py", subdirectory: "Peers"))
        try TestFolders.withTemporary { folder in
            try prepare(folder)
            let result = try Subprocess.run(
                python, [script.path, Subprocess.graticule, folder.path, TestFolders.shared?.path ?? ""])
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

    @Test func everyRouteIsInTheOpenAPIFile() throws {
        try TestFolders.withTemporary { folder in
            let slides = folder.appendingPathComponent("slides")
            try FileManager.default.createDirectory(at: slides, withIntermediateDirectories: true)
            let service = try GraticuleService(
                ServiceOptions(results: folder.appendingPathComponent("r.sqlite"), slides: slides))
            let routes = Set(
                service.router().routes.filter { $0.method != .head }
                    .map { "\($0.method.rawValue.lowercased()) \($0.path)" })
            let file = TestFolders.root.appendingPathComponent("Sources/GraticuleServer/Viewer/openapi.json")
            let document = try #require(
                try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
            let paths = try #require(document["paths"] as? [String: [String: Any]])
            let documented = Set(paths.flatMap { path, methods in methods.keys.map { "\($0) \(path)" } })
            #expect(routes == documented)
        }
    }

    @Test func onlyLoopbackGoesWithoutAToken() throws {
        try TestFolders.withTemporary { folder in
            var options = ServiceOptions(results: folder.appendingPathComponent("r.sqlite"), slides: folder)
            options.host = "0.0.0.0"
            #expect(throws: ServiceError.self) { try GraticuleService(options) }
            options.token = "short"
            #expect(throws: ServiceError.self) { try GraticuleService(options) }
            options.token = "0123456789abcdef"
            _ = try GraticuleService(options)
        }
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
}
