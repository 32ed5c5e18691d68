import ArgumentParser
import Foundation
import Lymphocytes
import Raster

struct ImportHeatmapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import-heatmap", abstract: "Turn a heatmap of another program into quip text.",
        discussion: """
            Reads quip text, PNG heatmaps, WSInfer's tables, caMicroscope's and FeatureMap's JSON, checks that they fit the slide, \
            and writes 'x y probability necrosis' with centres in level-0 pixels. Training and segmentation read all of these too.
            """)

    @Argument(help: "Heatmap file, or a folder in which the slide's is looked for.") var heatmap: String
    @Option(help: "The slide that it belongs to.") var slide: String
    @Option(help: "File to write; gzipped if it ends in .gz.") var output: String
    @Option(help: "µm per level-0 pixel, for a slide that does not say it.") var mpp: Double?

    func run() throws {
        try OutputGuard.check(
            URL(fileURLWithPath: output), inputs: [URL(fileURLWithPath: heatmap), URL(fileURLWithPath: slide)])
        let count = try SlideInspection.convert(
            URL(fileURLWithPath: heatmap), slide: URL(fileURLWithPath: slide), givenScale: mpp,
            to: URL(fileURLWithPath: output))
        print("\(count) regions in \(output)")
    }
}
