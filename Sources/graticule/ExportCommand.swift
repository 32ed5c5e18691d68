import ArgumentParser
import Foundation
import Lymphocytes
import Raster
import ResultStore
import Terminal

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the cells of a slide for QuPath, TIAToolbox, pycocotools and others.",
        discussion: """
            geojson: QuPath's detections (name it .geojson or .geojson.gz). csv: a row a cell. tiatoolbox: an SQLiteStore. coco: \
            run-length masks over the whole slide. mask-tiff, probability-tiff: pyramidal BigTIFF. heatmap: 50 µm regions, as quip \
            text or, with a name that ends in .csv, as WSInfer's table.
            """)

    @Argument(help: "Results file from 'graticule segment'.") var results: String
    @Option(help: "Name of the slide.") var slide: String
    @Option(help: ArgumentHelp(stringLiteral: CellExport.Format.allCases.map(\.rawValue).joined(separator: ", ")))
    var format: String
    @Option(help: "File to write.") var output: String
    @Option(help: "Name or fingerprint of the model, where a slide has been segmented by several.") var model: String?

    func validate() throws {
        guard CellExport.Format(rawValue: format) != nil else {
            let known = CellExport.Format.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--format must be one of \(known).")
        }
    }

    func run() throws {
        guard let format = CellExport.Format(rawValue: format) else { return }
        let export = try CellExport(
            store: ResultStore(readOnly: URL(fileURLWithPath: results)), slide: slide, model: model)
        let target = URL(fileURLWithPath: output)
        try OutputGuard.check(target, inputs: [URL(fileURLWithPath: results)] + export.inputs)
        let line = ProgressLine()
        let start = Date()
        try export.write(format, to: target) { share in
            let left = Date().timeIntervalSince(start) * (1 - share) / max(share, 1e-6)
            line.show("\(output)  \(Int(100 * share)) %  \(Console.duration(left)) left")
        }
        line.end()
        print("\(export.run.cells) cells of \(export.run.slide) in \(output)")
    }
}
