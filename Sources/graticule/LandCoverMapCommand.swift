import ArgumentParser
import BatchWork
import Failures
import Foundation
import LabelSuperResolution
import LandCover
import Raster
import Terminal
import Torch

struct LandCoverMapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "map", abstract: "Map images of any size with a trained model.",
        discussion: """
            Writes <image>.tif, a cloud-optimised GeoTIFF with the image's pixels and CRS, names and colours. A map that was cut \
            off is gone on with when the same command is given again.
            """)

    @Argument(help: "Images, or folders of images.") var images: [String]
    @Option(help: "Model folder from 'graticule landcover train'.") var model: String
    @Option(help: "Folder for the maps.") var output: String
    @Option(help: "A factor of each label's probability, as water=1,impervious=2; 1 for those not named.")
    var weights: String?
    @Flag(help: "Write the probability of each label as a band of its own (1 to 255) instead of the likeliest label.")
    var probabilities = false
    @Option(help: "auto, fp32, int8, or libtorch.") var precision = "auto"
    @Option(help: "Side of a tile in pixels, a multiple of 64.") var tile = 512
    @Option(help: "Threads; the CPUs that the process may use if not given.") var threads: Int?

    func validate() throws {
        guard !images.isEmpty else { throw ValidationError("Give at least one image or folder.") }
        guard InferenceEngine(named: precision) != nil else {
            throw ValidationError("--precision must be auto, fp32, int8 or libtorch.")
        }
        guard (64...8192).contains(tile), tile % 64 == 0 else {
            throw ValidationError("--tile must be a multiple of 64 between 64 and 8192.")
        }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads must be between 1 and 1024.")
        }
        guard weights == nil || !probabilities else {
            throw ValidationError("--weights change the likeliest label; --probabilities are without them.")
        }
    }

    func run() throws {
        guard let engine = InferenceEngine(named: precision) else { return }
        let loaded = try LandCoverModel(URL(fileURLWithPath: model), engine: engine)
        var mapper = LandMapper(model: loaded)
        mapper.weights = try weights.map { try loaded.settings.labels.weights($0) }
        mapper.writesProbabilities = probabilities
        mapper.tileSide = tile
        mapper.threads = threads ?? TorchRuntime.availableProcessors()
        // Tiles are computed side by side, so each operation of libtorch keeps to its thread.
        TorchRuntime.threads = 1
        let signals = StopSignals(mapper.stop)
        defer { signals.end() }
        let folder = URL(fileURLWithPath: output, isDirectory: true)
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw InputError(.unusable, "cannot make the folder \(output): \(FileFailure.reason(error))")
        }
        var failures: [FailedInput] = []
        var files: [URL] = []
        for path in images {
            do {
                files += try RasterFolder(URL(fileURLWithPath: path)).files
            } catch {
                failures.append(FailedInput(name: path, error: error))
            }
        }
        // All before anything is written: the map of one image must not take the place of another.
        let byName = Dictionary(grouping: files, by: RasterFolder.stem)
        if let twice = byName.first(where: { $0.value.count > 1 }) {
            throw InputError(
                .unusable,
                "\(twice.value.count) images are named '\(twice.key)': map them into different folders")
        }
        for file in files {
            try OutputGuard.check(folder.appendingPathComponent("\(RasterFolder.stem(file)).tif"), inputs: files)
        }
        let line = ProgressLine()
        let start = Date()
        var (pixels, done) = (0, 0)
        for (number, file) in files.enumerated() where !mapper.stop.isStopping {
            let name = RasterFolder.stem(file)
            do {
                let target = folder.appendingPathComponent("\(name).tif")
                let began = Date()
                let report = try mapper.map(file, to: target) { share in
                    let left = share > 0 ? Date().timeIntervalSince(began) * (1 / share - 1) : 0
                    line.show(
                        "\(name) \(number + 1)/\(files.count)  \(Int(share * 100)) %"
                            + (share > 0.02 ? "  \(Console.duration(left)) left" : ""))
                }
                pixels += report.pixels
                done += report.wasStopped ? 0 : 1
                if let warning = report.warning {
                    line.end()
                    Console.note(warning)
                }
                if report.unreadableTiles > 0 {
                    throw InputError(
                        .unusable,
                        "\(report.unreadableTiles) tiles of \(file.path) cannot be read; they are no data in the map")
                }
            } catch {
                failures.append(FailedInput(name: name, error: error))
            }
        }
        line.end()
        let seconds = Date().timeIntervalSince(start)
        print(
            String(
                format: "%d of %d images mapped in %@, %.1f Mpx/s: %@", done, files.count,
                Console.duration(seconds), Double(pixels) / 1e6 / max(seconds, 1e-3), output))
        try reportFailures(failures)
        if let signal = signals.received { throw ExitCode(128 + signal) }
    }
}
