import ArgumentParser
import BatchWork
import Failures
import Foundation
import LabelSuperResolution
import LandCover
import Raster
import Terminal

struct LandCoverPriorsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "priors", abstract: "What each coarse class leads to expect: shares of labels and their spread.",
        discussion: """
            η is the mean and ρ the standard deviation, over the cells of a class, of the share of a cell's pixels that bear \
            each label. A cell counts where at least half of it has labels. Without pairs of rasters, --descriptions nlcd takes \
            them from NLCD's descriptions of its classes, and --descriptions table4 from the paper's own measurement.
            """)

    @Option(help: "Coarse raster, or a folder of them.") var coarse: String?
    @Option(help: "Raster of true labels, or a folder of them; partners have the same names.") var fine: String?
    @Option(help: "nlcd or table4: without rasters.") var descriptions: String?
    @Option(help: "Priors to write (JSON); may be edited by hand.") var output: String
    @OptionGroup var tables: LandTables
    @Option(
        help:
            "Side of a coarse cell, in units of the CRS, where the coarse rasters have the fine ones' pixels; 30 if not given."
    ) var cellSide: Double?

    func validate() throws {
        guard (descriptions == nil) == (coarse != nil && fine != nil), (coarse == nil) == (fine == nil) else {
            throw ValidationError("Give --coarse and --fine, or --descriptions nlcd.")
        }
        guard descriptions.map({ ["nlcd", "table4"].contains($0) }) ?? true else {
            throw ValidationError("--descriptions must be nlcd or table4.")
        }
        guard descriptions == nil || (tables.classes == "nlcd" && tables.labels == "land4") else {
            throw ValidationError("--descriptions are of NLCD's classes and the four labels.")
        }
        guard (cellSide ?? 1) > 0, (cellSide ?? 1).isFinite else {
            throw ValidationError("--cell-side must be above 0.")
        }
    }

    func run() throws {
        let target = URL(fileURLWithPath: output)
        try OutputGuard.check(target, inputs: [coarse, fine].compactMap { $0 }.map { URL(fileURLWithPath: $0) })
        guard let coarse, let fine else {
            let priors =
                descriptions == "table4"
                ? try LandCoverPriors.table4() : try LandCoverPriors.fromNLCDDescriptions()
            try AtomicFile.write(try priors.encoded(), to: target)
            print("\(output): \(priors.origin)")
            return
        }
        let (classes, labels) = (try LandClasses(named: tables.classes), try LandClasses(labelsNamed: tables.labels))
        var counted = LandCoverPriors(coarse: classes, labels: labels)
        let failures = counted.add(
            coarse: try RasterFolder(URL(fileURLWithPath: coarse)), fine: try RasterFolder(URL(fileURLWithPath: fine)),
            side: cellSide)
        for (value, cells) in counted.unknownValues.sorted(by: { $0.key < $1.key }) {
            Console.note("\(cells) cells of value \(Int(value)), which is no class, are left out")
        }
        if let first = failures.first, counted.cellsPerClass.allSatisfy({ $0 == 0 }) {
            throw InputError(.unusable, "no pair of rasters could be used: \(first.message)")
        }
        let fallback =
            tables.classes == "nlcd" && tables.labels == "land4" ? try LandCoverPriors.table4() : nil
        let priors = try counted.priors(fallback: fallback)
        try AtomicFile.write(try priors.encoded(), to: target)
        let width = classes.names.map(\.count).max() ?? 0
        print(
            "class".padding(toLength: width, withPad: " ", startingAt: 0),
            "   cells  " + labels.names.joined(separator: "  "))
        for (index, cells) in counted.cellsPerClass.enumerated() where cells > 0 {
            let shares = labels.names.indices.map {
                String(format: "%.3f ± %.3f", priors.means[index][$0], priors.deviations[index][$0])
            }
            print(
                classes.names[index].padding(toLength: width, withPad: " ", startingAt: 0),
                String(format: "%7d ", cells), shares.joined(separator: "  "))
        }
        let few = counted.cellsPerClass.indices.filter { (1..<10).contains(counted.cellsPerClass[$0]) }
        if !few.isEmpty {
            Console.note(
                "fewer than ten cells tell little: \(few.map { classes.names[$0] }.joined(separator: "; "))")
        }
        print("classes without a cell have \(fallback == nil ? "even shares" : "those of the paper's Table 4")")
        try reportFailures(failures)
    }
}

/// Names inputs that could not be used, and ends with status 3.
func reportFailures(_ failures: [FailedInput]) throws {
    guard !failures.isEmpty else { return }
    Console.error("failed:", prefix: "")
    for failure in failures { Console.error("\(failure.name): \(failure.message)", prefix: "  ") }
    throw ExitCode(3)
}
