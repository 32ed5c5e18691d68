import Foundation
import LabelSuperResolution

/// Inference alone: `bench MODEL ENGINE SIDE SECONDS THREADS`. Each thread computes one tile after another, as `segment` does.
///
/// Prints one line of JSON with the medians over rounds of a second.
@main
struct Bench {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 6, let engine = InferenceEngine(named: arguments[2]), let side = Int(arguments[3]),
            let seconds = Double(arguments[4]), let threads = Int(arguments[5])
        else {
            FileHandle.standardError.write(
                Data("usage: bench MODEL auto|fp32|int8|libtorch SIDE SECONDS THREADS\n".utf8))
            exit(2)
        }
        let loaded = try ModelFolder(URL(fileURLWithPath: arguments[1])).load(engine: engine)
        let channels = loaded.description.architecture.inputChannels
        let values = (0..<(channels * side * side)).map { Float(($0 &* 2_654_435_761) >> 16 & 0xff) / 128 - 1 }
        let batch = ImageBatch(count: 1, channels: channels, height: side, width: side, values: values)
        let network = loaded.network
        // Each thread's first image plans its buffers.
        _ = try network.logOdds(batch)
        _ = Round(network: network, batch: batch, until: Date().addingTimeInterval(0.5)).run(threads: threads)
        var rates: [Double] = []
        let end = Date().addingTimeInterval(seconds)
        while Date() < end {
            let round = Round(network: network, batch: batch, until: Date().addingTimeInterval(1))
            rates.append(round.run(threads: threads))
        }
        let median = rates.sorted()[rates.count / 2]
        print(
            "{\"engine\":\"\(network.engineName)\",\"side\":\(side),\"threads\":\(threads),\"megapixels_per_second\":\(median)}"
        )
    }
}

/// A second of inference on several threads.
///
/// `@unchecked Sendable`: the count is read and written under the lock.
final class Round: @unchecked Sendable {
    private let network: any SegmentationNetwork
    private let batch: ImageBatch
    private let end: Date
    private let lock = NSLock()
    private var images = 0

    init(network: any SegmentationNetwork, batch: ImageBatch, until end: Date) {
        self.network = network
        self.batch = batch
        self.end = end
    }

    /// Megapixels a second.
    func run(threads: Int) -> Double {
        let start = Date()
        let group = DispatchGroup()
        for _ in 0..<threads {
            group.enter()
            Thread { [self] in
                while Date() < end {
                    guard (try? network.logOdds(batch)) != nil else { break }
                    lock.withLock { images += 1 }
                }
                group.leave()
            }.start()
        }
        group.wait()
        return lock.withLock { Double(images * batch.width * batch.height) } / 1e6 / Date().timeIntervalSince(start)
    }
}
