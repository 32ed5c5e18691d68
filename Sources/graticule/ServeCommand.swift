import ArgumentParser
import Failures
import Foundation
import GraticuleServer
import LandCover
import Synchronization
import Torch

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Look at results in a browser, count for priors, and run jobs.",
        discussion: """
            Serves this machine only unless --listen names another address; then --token-file is needed, and a proxy with TLS in \
            front of it is advised. SIGTERM and Ctrl-C end it: requests and tile rows in work are finished, and jobs that are \
            not done go on when it is started again. docs/service.md describes the pages and the API.

            With --maps instead of a results file it serves land: aerial images, coarse classes, and what land-cover models \
            find where one clicks (docs/landcover.md).
            """)

    @Argument(help: "Results file; made where it does not exist.") var results: String?
    @Option(help: "Folder of slides.") var slides: String?
    @Option(help: "Folder of model folders, for jobs and 'predict here'; or one model.") var models: String?
    @Option(help: "Folder of aerial images, or one with images/, coarse/ and fine/: serves a map of land.")
    var maps: String?
    @Option(help: "With --maps: folder of coarse rasters by the images' names; coarse/ beside them if not given.")
    var coarse: String?
    @Option(help: "With --maps: folder of true labels by the images' names; fine/ beside them if not given.")
    var fine: String?
    @OptionGroup var tables: LandTables
    @Option(help: "Folder of heatmaps: regions to count in, and to compare with.") var heatmaps: String?
    @Option(help: "Address and port.") var listen = "127.0.0.1:8080"
    @Option(help: "File whose first line is the token that clients must show.") var tokenFile: String?
    @Flag(help: "Show label and macro images and all slide properties: they may name patients.") var showLabel = false
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?

    func validate() throws {
        guard ServeCommand.address(listen) != nil else {
            throw ValidationError("--listen must be ADDRESS:PORT, for example 127.0.0.1:8080.")
        }
        if maps == nil {
            guard results != nil, slides != nil else {
                throw ValidationError(
                    "Give a results file and --slides, for example: graticule serve new.sqlite --slides DIR; or --maps DIR for land."
                )
            }
            guard coarse == nil, fine == nil else { throw ValidationError("--coarse and --fine go with --maps.") }
        } else {
            guard results == nil, slides == nil, heatmaps == nil, mpp == nil, !showLabel else {
                throw ValidationError(
                    "--maps serves land alone: leave the results file, --slides, --heatmaps, --mpp and --show-label out."
                )
            }
        }
    }

    private static func address(_ text: String) -> (host: String, port: Int)? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65_535).contains(port)
        else { return nil }
        let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        return host.isEmpty ? nil : (host, port)
    }

    func run() throws {
        var address = ServiceAddress()
        if let (host, port) = ServeCommand.address(listen) { (address.host, address.port) = (host, port) }
        if let tokenFile {
            guard let text = try? String(contentsOfFile: tokenFile, encoding: .utf8),
                let line = text.split(whereSeparator: \.isNewline).first
            else { throw ServiceError(.unable, "there is no token in \(tokenFile)") }
            address.token = line.trimmingCharacters(in: .whitespaces)
        }
        let threads = TorchRuntime.availableProcessors()
        TorchRuntime.threads = 1
        if let maps {
            var options = MapServiceOptions(maps: URL(fileURLWithPath: maps))
            options.models = models.map { URL(fileURLWithPath: $0) }
            options.coarse = coarse.map { URL(fileURLWithPath: $0) }
            options.truth = fine.map { URL(fileURLWithPath: $0) }
            options.classes = try LandClasses(named: tables.classes)
            options.labels = try LandClasses(labelsNamed: tables.labels)
            (options.address, options.threads) = (address, threads)
            let service = try MapService(options)
            try serve { try await service.run(ready: $0) }
            print("ended")
        } else if let results, let slides {
            var options = ServiceOptions(results: URL(fileURLWithPath: results), slides: URL(fileURLWithPath: slides))
            options.models = models.map { URL(fileURLWithPath: $0) }
            options.heatmaps = heatmaps.map { URL(fileURLWithPath: $0) }
            options.showsLabels = showLabel
            options.givenScale = mpp
            (options.address, options.threads) = (address, threads)
            let service = try GraticuleService(options)
            try serve { try await service.run(ready: $0) }
            print("ended; jobs that are not done go on at the next start")
        }
    }

    private func serve(
        _ run: @escaping @Sendable (_ ready: @escaping @Sendable (String) -> Void) async throws -> Void
    ) throws {
        // A client that goes away must not end the service.
        signal(SIGPIPE, SIG_IGN)
        // The program's entry is synchronous; this thread only waits.
        let outcome = Mutex<(any Error)?>(nil)
        let ended = DispatchSemaphore(value: 0)
        Task {
            do {
                try await run { url in
                    // Unbuffered: scripts wait for this line.
                    FileHandle.standardOutput.write(Data("Graticule is at \(url)  (Ctrl-C ends it)\n".utf8))
                }
            } catch {
                outcome.withLock { $0 = error }
            }
            ended.signal()
        }
        ended.wait()
        if let error = outcome.withLock({ $0 }) {
            if let error = error as? ServiceError { throw error }
            throw ServiceError(.unable, "the service cannot run at \(listen): \(error)")
        }
    }
}
