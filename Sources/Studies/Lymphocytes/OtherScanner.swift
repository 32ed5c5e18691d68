internal import Failures
internal import Foundation
internal import Lymphocytes
internal import Raster
internal import WholeSlide
internal import Tables

/// A copy of slides and patches as a scanner and a laboratory of another kind would show them: haematoxylin and eosin by known factors.
struct OtherScanner {
    private let data: ExperimentData
    private let folder: URL
    private let folds: [ExperimentFold]

    /// Pale nuclei in strong eosin.
    static let factors: (hematoxylin: Float, eosin: Float) = (0.55, 1.5)

    init(of data: ExperimentData, at folder: URL, folds: [ExperimentFold]) {
        self.data = data
        self.folder = folder
        self.folds = folds
    }

    private func changed(_ image: RGBImage) -> RGBImage {
        ColorDeconvolution.hematoxylinEosin.restained(image, factors: OtherScanner.factors, offsets: (0, 0))
    }

    /// Writes what is not there yet.
    ///
    /// - Returns: the copy, whose truth is the original's.
    func write() throws -> ExperimentData {
        let copy = ExperimentData(folder)
        let manager = FileManager.default
        try manager.createDirectory(at: copy.slides, withIntermediateDirectories: true)
        for name in Set(folds.flatMap { $0.training + [$0.test] }).sorted() {
            let target = copy.slide(name)
            guard !manager.fileExists(atPath: target.path) else { continue }
            let slide = try Slide(data.slide(name))
            let scale = try slide.scale()
            try PyramidTIFF(width: slide.width, height: slide.height, micronsPerPixel: scale.micronsPerPixel).write(
                to: target, description: "another scanner", quality: 95
            ) { y, height in
                changed(try slide.read(level: 0, levelX: 0, levelY: y, width: slide.width, height: height))
            }
        }
        for fold in folds {
            for (_, suffix) in FoldScoring.sets { try writePatches(fold.test + suffix, to: copy) }
        }
        if !manager.fileExists(atPath: copy.masks.path) {
            try manager.createSymbolicLink(at: copy.masks, withDestinationURL: data.masks.standardizedFileURL)
        }
        return copy
    }

    private func writePatches(_ name: String, to copy: ExperimentData) throws {
        let target = copy.patches(name)
        guard !FileManager.default.fileExists(atPath: target.path) else { return }
        // Whole or absent: a run that was ended must not leave half a set.
        let made = copy.folder.appendingPathComponent("\(name).part", isDirectory: true)
        try? FileManager.default.removeItem(at: made)
        try FileManager.default.createDirectory(at: made, withIntermediateDirectories: true)
        let set = try PatchSet(data.patches(name), givenScale: nil)
        var lines = ["file,label,mpp,source\n"]
        for (index, patch) in set.patches.enumerated() {
            let image = try set.image(of: patch, workingMicronsPerPixel: LymphocyteTraining.micronsPerPixel)
            let file = String(format: "%04d.png", index)
            try PNG.write(changed(image), to: made.appendingPathComponent(file))
            lines.append(
                TableText.line([
                    file, patch.isLymphocyte ? "lymphocyte" : "other", String(LymphocyteTraining.micronsPerPixel),
                    patch.source ?? "",
                ]))
        }
        try AtomicFile.write(Data(lines.joined().utf8), to: made.appendingPathComponent("labels.csv"))
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.moveItem(at: made, to: target)
    }
}
