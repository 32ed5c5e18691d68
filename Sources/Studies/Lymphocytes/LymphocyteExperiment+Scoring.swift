internal import CoarseTraining
internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import WholeSlide

/// How finished networks and rivals are scored on a fold's test slide.
extension LymphocyteExperiment {
    private static let sets = [("natural", ""), ("hard", "-hard")]

    func score(_ model: SegmentationModel, job: Job) throws -> ExperimentResult {
        var result = ExperimentResult(method: job.method.name, fold: job.fold.name, seed: job.seed)
        result.steps = model.description.steps
        result.threshold = model.threshold
        result.heldOutCorrelation = model.description.validation?.correlation
        if job.fold.hasPatches {
            for (name, suffix) in LymphocyteExperiment.sets {
                let set = try PatchSet(data.patches(job.fold.test + suffix), givenScale: nil)
                for score in PatchScore.allCases {
                    let evaluation = try PatchEvaluation(set, model: model, score: score) { _, _ in }
                    result.patches[name, default: [:]][score.rawValue] = evaluation.auc
                    result.darkness[name] = evaluation.darkness
                    guard score == .disc else { continue }
                    if name == "natural" { result.calibrationError = evaluation.reliability.expectedCalibrationError }
                    try writeScores(evaluation, name: name, job: job)
                }
            }
        }
        let map = try SlideMap(slide: data.slide(job.fold.test), model: model)
        let pixels = map.pixelMetrics(
            mask: try FineMask(for: SlideFile(data.slide(job.fold.test)), in: data.masks), threshold: model.threshold)
        (result.pixelAUC, result.intersectionOverUnion) = (pixels.auc, pixels.intersectionOverUnion)
        let truth =
            try CellEvaluation.readTruth(
                data.cells(job.fold.test), types: [LymphocyteExperiment.lymphocyteType])[job.fold.test] ?? []
        if !job.fold.hasPatches {
            let everything = try CellEvaluation.readTruth(
                data.cells(job.fold.test), types: Set((0...9).map(String.init).filter { $0 != "2" }))
            let nuclei = try NucleusMetrics(
                map: map, lymphocytes: truth, others: everything[job.fold.test] ?? [], seed: 1)
            result.patches = ["natural": ["disc": nuclei.all], "hard": ["disc": nuclei.hard]]
            result.darkness = ["natural": nuclei.darkness]
        }
        result.cells = try cellScore(model, job: job, truth: truth, splitDepth: CellOutliner.defaultSplitDepth)
        if ["sr", "sr-pair", "sr-self", "base", "self-round"].contains(job.method.name) {
            // Deeper than any neck: nothing is cut.
            result.unsplitCells = try cellScore(model, job: job, truth: truth, splitDepth: 1000)
        }
        return result
    }

    private func cellScore(
        _ model: SegmentationModel, job: Job, truth: [CellEvaluation.Point], splitDepth: Double
    ) throws -> ExperimentResult.CellScore {
        let file = folder(job).appendingPathComponent("cells.sqlite")
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file.path + suffix) }
        let store = try ResultStore(file)
        var settings = SegmentationSettings()
        settings.threshold = model.threshold
        settings.splitDepth = splitDepth
        let segmenter = SlideSegmenter(model: model, store: store, settings: settings)
        let outcome = try segmenter.segment(data.slide(job.fold.test), modelID: try segmenter.registerModel()) { _ in }
        guard let run = try store.finishedRuns(slideNamed: outcome.slide).last else {
            return ExperimentResult.CellScore(precision: 0, recall: 0, f1: 0)
        }
        let record = CellEvaluation.compare(
            found: try store.centroids(run: run.id), truth: truth,
            distance: LymphocyteExperiment.cellDistance / run.micronsPerPixel,
            withinMicrons: LymphocyteExperiment.cellDistance, source: "truth")
        return ExperimentResult.CellScore(precision: record.precision, recall: record.recall, f1: record.f1)
    }

    func score(_ rival: PatchRival, job: Job) throws -> ExperimentResult {
        var result = ExperimentResult(method: job.method.name, fold: job.fold.name, seed: job.seed)
        let encoding = InputEncoding.rgbStains
        let unlabelled = rival == .pretrained ? try unlabelledPatches(job) : []
        let start = Date()
        for (name, suffix) in LymphocyteExperiment.sets {
            let set = try PatchSet(data.patches(job.fold.test + suffix), givenScale: nil)
            let images = try set.patches.map {
                try set.image(of: $0, workingMicronsPerPixel: LymphocyteTraining.micronsPerPixel)
            }
            let truth = set.patches.map(\.isLymphocyte)
            // The field before '#': neighbouring patches overlap.
            let fields = set.patches.compactMap { $0.source.map { String($0.prefix { $0 != "#" }) } }
            let scores = try rival.scores(
                of: images, isPositive: truth, groups: fields, unlabelled: unlabelled, encoding: encoding,
                micronsPerPixel: LymphocyteTraining.micronsPerPixel, seed: job.seed)
            // One score a patch: what the centre and the disc are to a network that labels pixels.
            let auc = try AreaUnderCurve(scores: scores, isPositive: truth)
            result.patches[name] = ["disc": auc, "centre": auc]
            try writeScores(scores, truth: truth, name: name, job: job)
        }
        result.trainingSeconds = Date().timeIntervalSince(start)
        return result
    }

    /// Patches from the training slides' tissue, without any label.
    private func unlabelledPatches(_ job: Job) throws -> [RGBImage] {
        var generator = SeededGenerator(seed: job.seed, stream: 77)
        return try job.fold.training.flatMap { name in
            let slide = try LabelledSlide(
                SlideFile(data.slide(name)), heatmaps: data.heatmaps,
                micronsPerPixel: LymphocyteTraining.micronsPerPixel,
                givenScale: nil, coarseClasses: ProbabilityClasses())
            return try slide.regions.known.shuffled(using: &generator).prefix(600).map { region in
                let corner = slide.regions.corner(region.position)
                let reach = Int(slide.regions.workingSide) - PatchRival.side
                return try slide.reader.read(
                    x: corner.x + Int.random(in: 0...max(0, reach), using: &generator),
                    y: corner.y + Int.random(in: 0...max(0, reach), using: &generator), width: PatchRival.side,
                    height: PatchRival.side)
            }
        }
    }

    // MARK: Scores for the ROC curves

    private func writeScores(_ evaluation: PatchEvaluation, name: String, job: Job) throws {
        try writeScores(
            evaluation.scores.map(\.logOdds), truth: evaluation.scores.map(\.isLymphocyte), name: name, job: job)
        try writeScores(
            evaluation.scores.map(\.darkness), truth: evaluation.scores.map(\.isLymphocyte), name: "\(name)-darkness",
            job: job)
    }

    private func writeScores(_ scores: [Double], truth: [Bool], name: String, job: Job) throws {
        let rows = zip(scores, truth).map { "\($0),\($1 ? 1 : 0)" }
        try AtomicFile.write(
            Data((["score,lymphocyte"] + rows).joined(separator: "\n").utf8),
            to: folder(job).appendingPathComponent("scores-\(name).csv"))
    }

    /// The ROC curve of a finished job.
    func curve(_ job: Job, set: String) -> ROCCurve? {
        guard
            let text = try? String(
                contentsOf: folder(job).appendingPathComponent("scores-\(set).csv"), encoding: .utf8)
        else { return nil }
        let rows = text.split(separator: "\n").dropFirst().compactMap { line -> (Double, Bool)? in
            let parts = line.split(separator: ",")
            return parts.count == 2 ? Double(parts[0]).map { ($0, parts[1] == "1") } : nil
        }
        return ROCCurve(scores: rows.map(\.0), isPositive: rows.map(\.1))
    }
}
