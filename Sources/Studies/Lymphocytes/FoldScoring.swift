internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import WholeSlide

/// How a model is scored on a fold's test slide: patches, pixels and cells.
struct FoldScoring {
    let data: ExperimentData
    let fold: ExperimentFold
    /// For the scores of single patches, and for the cells that are found.
    let folder: URL

    /// Patch sets and the endings of their names.
    static let sets = [("natural", ""), ("hard", "-hard")]

    /// - Parameter alsoUncut: whether cells are scored without cutting touching ones apart too.
    func score(_ model: SegmentationModel, into result: inout ExperimentResult, alsoUncut: Bool) throws {
        result.steps = model.description.steps
        result.threshold = model.threshold
        result.heldOutCorrelation = model.description.validation?.correlation
        if fold.hasPatches {
            for (name, suffix) in FoldScoring.sets {
                let set = try PatchSet(data.patches(fold.test + suffix), givenScale: nil)
                for score in PatchScore.allCases {
                    let evaluation = try PatchEvaluation(set, model: model, score: score) { _, _ in }
                    result.patches[name, default: [:]][score.rawValue] = evaluation.auc
                    result.darkness[name] = evaluation.darkness
                    guard score == .disc else { continue }
                    if name == "natural" { result.calibrationError = evaluation.reliability.expectedCalibrationError }
                    try write(evaluation, name: name)
                }
            }
        }
        let map = try SlideMap(slide: data.slide(fold.test), model: model)
        let pixels = map.pixelMetrics(
            mask: try FineMask(for: SlideFile(data.slide(fold.test)), in: data.masks), threshold: model.threshold)
        (result.pixelAUC, result.intersectionOverUnion) = (pixels.auc, pixels.intersectionOverUnion)
        let truth =
            try CellEvaluation.readTruth(
                data.cells(fold.test), types: [LymphocyteExperiment.lymphocyteType])[fold.test] ?? []
        if !fold.hasPatches {
            let everything = try CellEvaluation.readTruth(
                data.cells(fold.test), types: Set((0...9).map(String.init).filter { $0 != "2" }))
            let nuclei = try NucleusMetrics(
                map: map, lymphocytes: truth, others: everything[fold.test] ?? [], seed: 1)
            result.patches = ["natural": ["disc": nuclei.all], "hard": ["disc": nuclei.hard]]
            result.darkness = ["natural": nuclei.darkness]
        }
        result.cells = try cellScore(model, truth: truth, splitDepth: CellOutliner.defaultSplitDepth)
        if alsoUncut {
            // Deeper than any neck: nothing is cut.
            result.unsplitCells = try cellScore(model, truth: truth, splitDepth: 1000)
        }
    }

    private func cellScore(
        _ model: SegmentationModel, truth: [CellEvaluation.Point], splitDepth: Double
    ) throws -> ExperimentResult.CellScore {
        let file = folder.appendingPathComponent("cells.sqlite")
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file.path + suffix) }
        let store = try ResultStore(file)
        var settings = SegmentationSettings()
        settings.threshold = model.threshold
        settings.splitDepth = splitDepth
        let segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        let outcome = try segmenter.segment(data.slide(fold.test), modelID: try segmenter.registerModel()) { _ in }
        guard let run = try store.finishedRuns(slideNamed: outcome.slide).last else {
            return ExperimentResult.CellScore(precision: 0, recall: 0, f1: 0)
        }
        let record = CellEvaluation.compare(
            found: try store.centroids(run: run.id), truth: truth,
            distance: LymphocyteExperiment.cellDistance / run.micronsPerPixel,
            withinMicrons: LymphocyteExperiment.cellDistance, source: "truth")
        return ExperimentResult.CellScore(precision: record.precision, recall: record.recall, f1: record.f1)
    }

    private func write(_ evaluation: PatchEvaluation, name: String) throws {
        let truth = evaluation.scores.map(\.isLymphocyte)
        try write(evaluation.scores.map(\.logOdds), truth: truth, name: name)
        try write(evaluation.scores.map(\.darkness), truth: truth, name: "\(name)-darkness")
    }

    /// Scores of single patches, for ROC curves.
    func write(_ scores: [Double], truth: [Bool], name: String) throws {
        let rows = zip(scores, truth).map { "\($0),\($1 ? 1 : 0)" }
        try AtomicFile.write(
            Data((["score,lymphocyte"] + rows).joined(separator: "\n").utf8),
            to: folder.appendingPathComponent("scores-\(name).csv"))
    }
}
