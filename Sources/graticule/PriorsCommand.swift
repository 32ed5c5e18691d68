import ArgumentParser
import Foundation
import LabelSuperResolution
import Lymphocytes
import Raster

struct PriorsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "priors", abstract: "Find how many lymphocytes to expect in each coarse class.",
        discussion: """
            Three ways:
              graticule priors --slides DIR --heatmaps DIR --output DIR     contact sheets and a counts.csv to fill in
              graticule priors --counts counts.csv --output priors.json     priors from the filled-in counts
              graticule priors --masks DIR --heatmaps DIR --output priors.json   priors from fine masks
            """)

    @Option(help: "Folder of slides.") var slides: String?
    @Option(help: "Folder of heatmaps.") var heatmaps: String?
    @Option(help: "Filled-in table: class,slide,x,y,lymphocytes.") var counts: String?
    @Option(help: "Folder of lymphocyte masks at level 0, <slide>.png.") var masks: String?
    @Option(help: "Folder for contact sheets, or priors file to write.") var output: String
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?
    @Option(help: "Which regions are sampled.") var seed: UInt64 = 1

    func validate() throws {
        let ways = [slides, counts, masks].compactMap { $0 }.count
        guard ways == 1 else { throw ValidationError("Give one of --slides, --counts or --masks.") }
        guard counts != nil || heatmaps != nil else { throw ValidationError("--heatmaps is needed as well.") }
    }

    func run() throws {
        if let slides, let heatmaps {
            try writeSheets(slides: slides, heatmaps: heatmaps)
            return
        }
        let priors: LabelPriors
        if let masks, let heatmaps {
            priors = try MaskPriors.read(masks: URL(fileURLWithPath: masks), heatmaps: URL(fileURLWithPath: heatmaps))
        } else {
            priors = try CountTable.priors(URL(fileURLWithPath: counts ?? ""))
        }
        try AtomicFile.write(try priors.encoded(), to: URL(fileURLWithPath: output))
        print("class  mean  deviation   (share of lymphocyte pixels)")
        for index in 0..<priors.classCount {
            print(String(format: "%5d %5.3f %10.3f", index, priors.means[index][1], priors.deviations[index][1]))
        }
        print("priors: \(output)")
    }

    private func writeSheets(slides: String, heatmaps: String) throws {
        var sheets = ContactSheets(slides: URL(fileURLWithPath: slides), heatmaps: URL(fileURLWithPath: heatmaps))
        sheets.givenScale = mpp
        let (failures, scarce) = try sheets.write(to: URL(fileURLWithPath: output), seed: seed)
        for failure in failures { Console.error("left out: \(failure.message)") }
        for (known, count) in scarce.sorted(by: { $0.key < $1.key }) {
            Console.note("class \(known) has only \(count) regions on these slides")
        }
        print("contact sheets and counts.csv: \(output)")
        print(
            "count the lymphocytes on each, fill in the last column, then: graticule priors --counts \(output)/counts.csv --output priors.json"
        )
        if !failures.isEmpty { throw ExitCode(3) }
    }
}
