import ArgumentParser
import Foundation
import Lymphocytes
import Phantoms
import Terminal

struct PhantomCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "phantom", abstract: "Render phantom slides whose every cell is known.",
        discussion: """
            Writes H&E-like pyramidal slides at 0.5 µm per pixel with heatmaps, masks, true cells, patches and counts, for \
            trying Graticule out and for tests.
            """)

    @Option(help: "Folder to write to.") var output: String
    @Option(help: "Number of slides.") var slides = 3
    @Option(help: "Side of each slide in pixels.") var size = 3000
    @Option(help: "The same seed gives the same slides.") var seed: UInt64 = 1

    func validate() throws {
        guard slides >= 1 else { throw ValidationError("--slides must be at least 1.") }
        guard (500...200_000).contains(size) else {
            throw ValidationError("--size must be between 500 and 200000 pixels.")
        }
    }

    func run() throws {
        let line = ProgressLine()
        let start = Date()
        let set = PhantomSet(folder: URL(fileURLWithPath: output), slides: slides, size: size, seed: seed)
        let summary = try set.write { number, done in
            let share = (Double(number - 1) + done) / Double(slides)
            let left = Date().timeIntervalSince(start) * (1 - share) / max(share, 1e-6)
            line.show("phantom \(number)/\(slides)  \(Int(100 * done)) %  \(Console.duration(left)) left")
        }
        line.end()
        print(
            "\(slides) slides of \(size)×\(size) px in \(output): \(summary.cells) cells, \(summary.lymphocytes) lymphocytes"
        )
        if let darkness = summary.darkness {
            print(
                String(format: "darkness alone tells them apart with an AUC of %.3f (last slide's patches)", darkness))
        }
    }
}
