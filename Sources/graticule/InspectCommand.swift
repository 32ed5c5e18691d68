import ArgumentParser
import Foundation
import Lymphocytes
import Terminal
import WholeSlide

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what a slide is: size, levels, scale, tissue.")

    @Argument(help: "A slide file.") var slide: String
    @Flag(help: "Print JSON.") var json = false
    @Option(help: "µm per level-0 pixel, for a slide that does not say it.") var mpp: Double?
    @Option(help: "A heatmap, or a folder of them: say how it fits the slide.") var heatmap: String?

    func run() throws {
        let url = URL(fileURLWithPath: slide)
        if let heatmap {
            return try show(SlideInspection.report(on: URL(fileURLWithPath: heatmap), slide: url, givenScale: mpp))
        }
        let inspection = try SlideInspection(url, givenScale: mpp)
        if json {
            try Console.json(inspection)
            return
        }
        print("slide      \(inspection.name)")
        print("vendor     \(inspection.vendor)")
        print("size       \(inspection.width) × \(inspection.height) px")
        for (index, level) in inspection.levels.enumerated() {
            print(
                String(
                    format: "level %-4d %d × %d px, downsample %.4g", index, level.width, level.height, level.downsample
                ))
        }
        if let scale = inspection.micronsPerPixel, let source = inspection.scaleSource {
            print(String(format: "scale      %.4g µm per pixel (%@)", scale, source))
        } else {
            print("scale      unknown: give µm per pixel with --mpp")
        }
        if let tissue = inspection.tissueSquareMillimeters {
            print(String(format: "tissue     %.3f mm²", tissue))
        }
    }

    private func show(_ report: HeatmapReport) throws {
        if json { return try Console.json(report) }
        print("heatmap    \(report.file) (\(report.format))")
        print("regions    \(report.regions)")
        print(String(format: "side       %.4g px = %.1f µm", report.regionPixels, report.regionMicrons))
        print(String(format: "on tissue  %.1f %% of the regions", 100 * report.regionsOnTissue))
        print(String(format: "labelled   %.1f %% of the tissue", 100 * report.tissueLabelled))
        print(String(format: "mean       %.3f", report.meanProbability))
        print("by tenth   \(report.histogram.map(String.init).joined(separator: " "))")
    }
}
