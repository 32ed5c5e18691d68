internal import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
internal import Lymphocytes

/// What the comparison of methods needs of a data folder: slides, heatmaps, truth and patch sets under their usual names.
public struct ExperimentData: Sendable {
    public let folder: URL

    public init(_ folder: URL) {
        self.folder = folder
    }

    var slides: URL { folder.appendingPathComponent("slides") }
    var heatmaps: URL { folder.appendingPathComponent("heatmaps") }
    var masks: URL { folder.appendingPathComponent("truth") }

    func slide(_ name: String) -> URL { slides.appendingPathComponent("\(name).svs") }
    func cells(_ name: String) -> URL { masks.appendingPathComponent("\(name).cells.csv") }
    func patches(_ name: String) -> URL { folder.appendingPathComponent("patches/\(name)") }
    func counts(_ fold: ExperimentFold) -> URL { folder.appendingPathComponent(fold.counts) }

    /// - Throws: ``InputError`` that names the first thing that is missing.
    func check(_ folds: [ExperimentFold]) throws {
        let files =
            [slides, heatmaps, masks]
            + folds.flatMap { fold in
                [counts(fold), cells(fold.test)] + (fold.training + [fold.test]).map(slide)
                    + (fold.hasPatches ? [patches(fold.test), patches(fold.test + "-hard")] : [])
            }
        for file in files where !FileManager.default.fileExists(atPath: file.path) {
            throw InputError(
                .unusable, "\(folder.path) lacks \(file.path): the comparison needs CoNSeP as laid out for it")
        }
    }
}

/// Slides to train on and the one to score.
public struct ExperimentFold: Codable, Sendable, Equatable {
    public let name: String
    public let training: [String]
    public let test: String
    /// Counts of lymphocytes in regions of the training slides.
    public let counts: String
    /// Whether the test slide has patch sets.
    public let hasPatches: Bool
}
