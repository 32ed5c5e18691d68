import ArgumentParser
import Foundation
import Lymphocytes
import WholeSlide

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Show what a slide is: size, levels, scale, tissue.")

    @Argument(help: "A slide file.") var slide: String
    @Flag(help: "Print JSON.") var json = false
    @Option(help: "µm per level-0 pixel, for a slide that does not say it.") var mpp: Double?

    func run() throws {
        let inspection = try SlideInspection(URL(fileURLWithPath: slide), givenScale: mpp)
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
}
