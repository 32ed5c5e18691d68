internal import CoarseTraining
internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import WholeSlide

/// How finished networks and rivals are scored on a fold's test slide.
extension LymphocyteExperiment {
    func score(_ model: SegmentationModel, job: Job) throws -> ExperimentResult {
        var result = ExperimentResult(method: job.method.name, fold: job.fold.name, seed: job.seed)
        try FoldScoring(data: data, fold: job.fold, folder: folder(job)).score(
            model, into: &result,
            alsoUncut: ["sr", "sr-pair", "sr-self", "base", "self-round"].contains(job.method.name))
        return result
    }

    func score(_ rival: PatchRival, job: Job) throws -> ExperimentResult {
        var result = ExperimentResult(method: job.method.name, fold: job.fold.name, seed: job.seed)
        let encoding = InputEncoding.rgbStains
        let unlabelled = rival == .pretrained ? try unlabelledPatches(job) : []
        let start = Date()
        for (name, suffix) in FoldScoring.sets {
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
            try FoldScoring(data: data, fold: job.fold, folder: folder(job)).write(scores, truth: truth, name: name)
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
