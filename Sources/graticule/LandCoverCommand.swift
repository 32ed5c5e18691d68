import ArgumentParser
import Foundation
import Phantoms
import Terminal

/// Land cover: fine maps from aerial images and coarse maps (the paper's first application).
struct LandCoverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "landcover", abstract: "Fine maps of land cover from aerial images and coarse maps.",
        discussion: """
            Trains a network from images and coarse maps of the same places, such as 1 m aerial images and NLCD's 30 m classes, \
            and maps water, forest, field and impervious ground at the images' own resolution. Rasters are of any format, \
            projection and size that GDAL reads; maps are cloud-optimised GeoTIFFs.

            graticule landcover priors → train → map → evaluate
            """,
        subcommands: [
            LandCoverPriorsCommand.self, LandCoverTrainCommand.self, LandCoverMapCommand.self,
            LandCoverEvaluateCommand.self, LandCoverChangesCommand.self, LandCoverPhantomCommand.self,
        ])
}

/// Options on classes and labels that several commands share.
struct LandTables: ParsableArguments {
    @Option(help: "Coarse classes: nlcd, or a table value,name,color[,group].") var classes = "nlcd"
    @Option(help: "Labels of pixels: land4 (1 water, 2 forest, 3 field, 4 impervious), or a table value,name,color.")
    var labels = "land4"
}

struct LandCoverPhantomCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "phantom", abstract: "Synthetic land with roads, roofs, trees and water, for trying it out.",
        discussion: "Writes images/, coarse/ (NLCD's codes, 30 m, in another projection) and fine/ (the true labels).")

    @Option(help: "Folder to write to.") var output: String
    @Option(help: "Number of images.") var images = 3
    @Option(help: "Side of each image in pixels of 1 m.") var size = 1000
    @Option(help: "The same seed gives the same land.") var seed: UInt64 = 1

    func validate() throws {
        guard (1...1000).contains(images) else { throw ValidationError("--images must be between 1 and 1000.") }
        guard (64...100_000).contains(size) else { throw ValidationError("--size must be between 64 and 100000.") }
    }

    func run() throws {
        let line = ProgressLine()
        try LandPhantom(folder: URL(fileURLWithPath: output), images: images, size: size, seed: seed).write { number in
            line.show("land \(number)/\(images)", force: number == images)
        }
        line.end()
        print("\(images) images of \(size)×\(size) px in \(output)/images, with coarse/ and fine/")
    }
}
