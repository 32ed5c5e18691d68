import ArgumentParser
import Failures
import Foundation
import LabelSuperResolution
import Lymphocytes
import Raster
import ResultStore
import Terminal

struct PriorsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "priors", abstract: "Find how many lymphocytes to expect in each coarse class.",
        discussion: """
            Ways to come by them, and a way to look at them; priors.json may also be edited by hand:
              graticule priors --slides DIR --heatmaps DIR --output DIR     contact sheets and a counts.csv to fill in
              graticule priors --counts counts.csv --output priors.json     priors from the filled-in counts
              graticule priors --results FILE --output priors.json          priors from what was counted on the page of 'serve'
              graticule priors --masks DIR --heatmaps DIR --output priors.json   priors from fine masks
              graticule priors --intervals table.csv --output priors.json   priors from descriptions: class,low,high
              graticule priors --show priors.json --output priors.png       draws η ± ρ over the classes
            """)

    @Option(help: "Folder of slides.") var slides: String?
    @Option(help: "Folder of heatmaps.") var heatmaps: String?
    @Option(help: "Filled-in table: class,slide,x,y,lymphocytes.") var counts: String?
    @Option(help: "Results file in which 'graticule serve' stored counts.") var results: String?
    @Option(help: "Folder of lymphocyte masks at level 0, <slide>.png or <slide>.tif.") var masks: String?
    @Option(help: "Table of descriptions: class,low,high (shares of lymphocyte pixels).") var intervals: String?
    @Option(help: "Priors file to print and, with --output, to draw as PNG.") var show: String?
    @Option(help: "Folder for contact sheets, or file to write.") var output: String?
    @Option(help: "Diameter of a lymphocyte's nucleus in µm, to turn counts into areas.") var nucleusDiameter =
        CountTable.nucleusDiameter
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?
    @Option(help: "Which regions are sampled.") var seed: UInt64 = 1

    func validate() throws {
        let ways = [slides, counts, results, masks, intervals, show].compactMap { $0 }.count
        guard ways == 1 else {
            throw ValidationError("Give one of --slides, --counts, --results, --masks, --intervals or --show.")
        }
        guard (slides == nil && masks == nil) || heatmaps != nil else {
            throw ValidationError("--heatmaps is needed as well.")
        }
        guard show != nil || output != nil else { throw ValidationError("--output is needed as well.") }
        guard (2...50).contains(nucleusDiameter) else {
            throw ValidationError("--nucleus-diameter must be between 2 and 50 µm.")
        }
    }

    func run() throws {
        if let output, slides == nil {
            let inputs = [counts, results, masks, intervals, show, heatmaps].compactMap { $0 }
            try OutputGuard.check(URL(fileURLWithPath: output), inputs: inputs.map { URL(fileURLWithPath: $0) })
        }
        if let show {
            let priors = try LabelPriors(contentsOf: URL(fileURLWithPath: show))
            PriorsCommand.print(priors)
            if let output {
                try priors.writeChart(to: URL(fileURLWithPath: output))
                Swift.print("chart: \(output)")
            }
            return
        }
        let output = output ?? ""
        if let slides, let heatmaps {
            try writeSheets(slides: slides, heatmaps: heatmaps, output: output)
            return
        }
        let priors: LabelPriors
        if let masks, let heatmaps {
            priors = try MaskPriors.read(masks: URL(fileURLWithPath: masks), heatmaps: URL(fileURLWithPath: heatmaps))
        } else if let results {
            let store = try ResultStore(readOnly: URL(fileURLWithPath: results))
            priors = try CountTable.priors(
                of: try store.squareReadings(), from: results, nucleusDiameter: nucleusDiameter)
        } else if let intervals {
            priors = try IntervalTable.priors(URL(fileURLWithPath: intervals))
        } else {
            priors = try CountTable.priors(
                URL(fileURLWithPath: counts ?? ""), nucleusDiameter: nucleusDiameter)
        }
        try AtomicFile.write(try priors.encoded(), to: URL(fileURLWithPath: output))
        PriorsCommand.print(priors)
        Swift.print("priors: \(output)")
    }

    /// A table with a bar of η, and a dot where η + ρ ends.
    private static func print(_ priors: LabelPriors) {
        let last = priors.labels.count - 1
        Swift.print("class  mean  deviation   (share of \(priors.labels[last]) pixels, from \(priors.origin))")
        let top = max(
            0.01, priors.means.indices.map { priors.means[$0][last] + priors.deviations[$0][last] }.max() ?? 1)
        for index in 0..<priors.classCount {
            let (mean, deviation) = (priors.means[index][last], priors.deviations[index][last])
            let (full, end) = (Int((mean / top * 40).rounded()), Int(((mean + deviation) / top * 40).rounded()))
            let bar =
                String(repeating: "█", count: full) + String(repeating: "·", count: max(0, end - full))
            Swift.print(String(format: "%5d %5.3f %10.3f   ", index, mean, deviation) + bar)
        }
    }

    private func writeSheets(slides: String, heatmaps: String, output: String) throws {
        var sheets = ContactSheets(slides: URL(fileURLWithPath: slides), heatmaps: URL(fileURLWithPath: heatmaps))
        sheets.givenScale = mpp
        let (failures, scarce) = try sheets.write(to: URL(fileURLWithPath: output), seed: seed)
        for failure in failures { Console.error("left out: \(failure.message)") }
        for (known, count) in scarce.sorted(by: { $0.key < $1.key }) {
            Console.note("class \(known) has only \(count) regions on these slides")
        }
        Swift.print("contact sheets and counts.csv: \(output)")
        Swift.print(
            "count the lymphocytes on each, fill in the last column, then: graticule priors --counts \(output)/counts.csv --output priors.json"
        )
        if !failures.isEmpty { throw ExitCode(3) }
    }
}
