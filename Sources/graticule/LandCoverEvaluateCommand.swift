import ArgumentParser
import BatchWork
import Failures
import Foundation
import GeoRaster
import LandCover
import Raster
import Terminal

struct LandCoverEvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "How well maps agree with rasters of true labels.")

    @Argument(help: "Map, or a folder of maps.") var maps: String
    @Option(help: "Rasters of true labels, of the maps' names.") var fine: String
    @Option(help: "Coarse rasters, for --within.") var coarse: String?
    @Option(help: "Also where the coarse class has this name or is of this group, as developed.") var within: String?
    @Option(help: "Folder for a picture of each map beside the truth, and what --images and --coarse hold.")
    var pictures: String?
    @Option(help: "The images that were mapped, for --pictures.") var images: String?
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var tables: LandTables

    func validate() throws {
        guard coarse != nil || within == nil else { throw ValidationError("--within needs --coarse.") }
        guard within != nil || pictures != nil || coarse == nil else {
            throw ValidationError("--coarse is for --within and --pictures.")
        }
        guard pictures != nil || images == nil else { throw ValidationError("--images is for --pictures.") }
    }

    private struct Scores: Encodable {
        let accuracy: Double
        let mean_iou: Double
        let iou: [String: Double]
        let confusion: [[Int]]
        let labels: [String]
        let pixels: Int

        init(_ confusion: MapEvaluation.Confusion) {
            accuracy = confusion.accuracy
            mean_iou = confusion.meanIntersectionOverUnion
            labels = confusion.labels
            iou = Dictionary(
                uniqueKeysWithValues: labels.indices.compactMap { index in
                    confusion.intersectionOverUnion(of: index).map { (confusion.labels[index], $0) }
                })
            self.confusion = confusion.counts
            pixels = confusion.total
        }
    }

    private struct Report: Encodable {
        let scores: Scores
        let within: (name: String, scores: Scores)?

        private struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        func encode(to encoder: any Encoder) throws {
            try scores.encode(to: encoder)
            guard let within else { return }
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(within.scores, forKey: Key(stringValue: within.name))
        }
    }

    func run() throws {
        let (classes, labels) = (try LandClasses(named: tables.classes), try LandClasses(labelsNamed: tables.labels))
        var evaluation = try MapEvaluation(labels: labels, coarse: classes, within: within)
        let fineFolder = try RasterFolder(URL(fileURLWithPath: fine))
        let coarseFolder = try coarse.map { try RasterFolder(URL(fileURLWithPath: $0)) }
        let imageFolder = try images.map { try RasterFolder(URL(fileURLWithPath: $0)) }
        let pictureFolder = pictures.map { URL(fileURLWithPath: $0, isDirectory: true) }
        if let pictureFolder {
            do {
                try FileManager.default.createDirectory(at: pictureFolder, withIntermediateDirectories: true)
            } catch {
                throw InputError(
                    .unusable, "cannot make the folder \(pictureFolder.path): \(FileFailure.reason(error))")
            }
        }
        var failures: [FailedInput] = []
        for file in try RasterFolder(URL(fileURLWithPath: maps)).files {
            let name = RasterFolder.stem(file)
            do {
                let (map, truth) = (try GeoRaster(file), try GeoRaster(fineFolder.partner(of: name)))
                let coarse = try coarseFolder.map { try GeoRaster($0.partner(of: name)) }
                try evaluation.add(map: map, truth: truth, coarse: coarse)
                guard let pictureFolder else { continue }
                try MapPicture(labels: labels, coarse: classes).write(
                    image: imageFolder.map { try GeoRaster($0.partner(of: name)) }, coarse: coarse,
                    maps: [("map", map)], truth: truth, to: pictureFolder.appendingPathComponent("\(name).png"))
            } catch {
                failures.append(FailedInput(name: name, error: error))
            }
        }
        guard evaluation.all.total > 0 else {
            throw InputError(
                .unusable, failures.first?.message ?? "no pixel of the rasters of true labels has a label")
        }
        let inside = evaluation.within.flatMap { confusion in within.map { ($0, confusion) } }
        if json {
            try Console.json(
                Report(scores: Scores(evaluation.all), within: inside.map { ($0.0, Scores($0.1)) }))
        } else {
            show("all", evaluation.all)
            if let inside { show(inside.0, inside.1) }
        }
        try reportFailures(failures)
    }

    private func show(_ title: String, _ confusion: MapEvaluation.Confusion) {
        print(
            String(
                format: "%@: accuracy %.3f, mean IoU %.3f, %d px", title, confusion.accuracy,
                confusion.meanIntersectionOverUnion, confusion.total))
        for (index, label) in confusion.labels.enumerated() {
            if let value = confusion.intersectionOverUnion(of: index) {
                print(String(format: "  %@: IoU %.3f", label, value))
            }
        }
    }
}
