internal import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import ResultStore
internal import WholeSlide

/// How squares of a study come about.
public enum SquareArm: String, CaseIterable, Sendable, Codable {
    /// Drawn by chance.
    case chance
    /// As `graticule squares` chooses.
    case chosen
    /// As `graticule squares` chooses, counted by a reader who errs.
    case noisy
    /// Half as `graticule squares` chooses, then ten at a time as it does with a model of those counted so far.
    case loop
    /// The model of ``chosen``, used on another site's slide as it is.
    case away
    /// Trained anew from its squares and fifty of the other site's other slide.
    case there

    /// Whether it is scored on another site.
    public var isOfSite: Bool { self == .away || self == .there }
}

/// How many squares are enough: trains `fast` from counted squares alone and scores it like the comparison of methods.
///
/// Squares are chosen without truth; a script counts: the centres of the true lymphocytes that lie in each.
public struct SquaresStudy: Study {
    public let data: ExperimentData
    public let folds: [ExperimentFold]
    public let work: URL
    /// Another site, and the same as another scanner would have stained it.
    public private(set) var sites: [Site] = []
    public var arms = SquareArm.allCases
    public var counts = [25, 50, 100, 200, 400]
    public var seeds = 3
    /// Folds of which this process does the jobs; nil for all.
    public var ownFolds: Set<String>?

    /// A folder with two slides of another site: squares are counted on one, the other scores.
    public struct Site: Sendable {
        public let name: String
        let data: ExperimentData
        public let folds: [ExperimentFold]
    }

    public struct Job: StudyJob {
        public let fold: ExperimentFold
        public let arm: SquareArm
        public let count: Int
        public let seed: UInt64
        /// Set where another site's slide is scored.
        public var site: Site?
        public var name: String {
            "\(site.map { "\($0.name)-" } ?? "")\(fold.name)/\(arm.rawValue)-\(count)-\(seed)"
        }
    }

    /// Squares that are counted on another site.
    static let siteSquares = 50

    /// The reader's error of ``SquareArm/noisy``, a share of the count.
    static let readerError = 0.15
    /// Squares counted before the first model of ``SquareArm/loop``, as a share of all; then ten a time.
    static let loopStart = 0.5
    static let loopStep = 10
    /// Steps of the models that only choose squares.
    static let loopTrainingSteps = 150

    /// - Throws: ``InputError`` where data is missing.
    public init(data: URL, work: URL, folds: [ExperimentFold]) throws {
        self.data = ExperimentData(data)
        self.folds = folds
        self.work = work
        try self.data.check(folds)
    }

    /// Adds another site, as it is and as another scanner would show it.
    ///
    /// - Parameter other: a folder laid out like `data`, with two slides.
    /// - Throws: where it is missing, or the other scanner's copy cannot be written.
    public mutating func addSite(_ other: URL) throws {
        let folds = try StudyTexts.folds()["site"] ?? []
        let data = ExperimentData(other)
        let copy = try OtherScanner(of: data, at: work.appendingPathComponent("other-scanner"), folds: folds).write()
        sites = [Site(name: "site", data: data, folds: folds), Site(name: "scanner", data: copy, folds: folds)]
    }

    /// What answers the question first: a hundred squares, then the rest of the curve.
    public var jobs: [Job] {
        let order = [100] + counts.filter { $0 != 100 }
        let own = order.filter { counts.contains($0) }.flatMap { count in
            (0..<seeds).flatMap { seed in
                arms.filter { !$0.isOfSite && (count == 100 || $0 == .chance || $0 == .chosen) }.flatMap { arm in
                    folds.map { Job(fold: $0, arm: arm, count: count, seed: UInt64(seed + 1)) }
                }
            }
        }
        // What they are made of comes first.
        let away = sites.flatMap { site in
            (0..<seeds).flatMap { seed in
                arms.filter(\.isOfSite).flatMap { arm in
                    site.folds.map { Job(fold: $0, arm: arm, count: 100, seed: UInt64(seed + 1), site: site) }
                }
            }
        }
        return own + away
    }

    public func isOwn(_ job: Job) -> Bool { ownFolds?.contains(job.fold.name) ?? true }

    func settings(of job: Job) -> LymphocyteSettings {
        TrainingPreset.fast.lymphocytes(seed: job.seed)
    }

    /// Raised where squares are chosen, or trained on, in another way.
    private static let trainingVersion = 1

    public func identity(_ job: Job) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var fingerprint = Fingerprint()
        fingerprint.add(try encoder.encode(settings(of: job)))
        for part in try parts(of: job) { fingerprint.add(try identity(part).utf8) }
        fingerprint.add("\(job.name) \(SquaresStudy.trainingVersion) \(GraticuleVersion.current)".utf8)
        return fingerprint.text
    }

    public func scoringVersion(_ job: Job) -> Int { 1 }
    /// A site's models are made of the hundred squares of the first fold.
    public func parts(of job: Job) throws -> [Job] {
        guard job.site != nil, let fold = folds.first else { return [] }
        return [Job(fold: fold, arm: .chosen, count: job.count, seed: job.seed)]
    }

    public func isUsable(_ job: Job) -> Bool {
        let model = ModelFolder(folder(job).appendingPathComponent("model", isDirectory: true))
        return (try? model.readDescription(LymphocyteModelSettings.self)) != nil
    }

    private func performOnSite(_ job: Job, site: Site, progress: (String) -> Void) throws -> ExperimentResult {
        let start = Date()
        let part = try parts(of: job)[0]
        var output = folder(part).appendingPathComponent("model", isDirectory: true)
        if job.arm == .there {
            let own = try SquareTable.read(folder(part).appendingPathComponent("squares.csv"))
            let files = job.fold.training.map { SlideFile(site.data.slide($0)) }
            let (candidates, failures) = SquareCandidates(seed: job.seed).collect(files)
            if let failure = failures.first { throw InputError(.unusable, failure.message) }
            let chosen = SquareChoice.choose(SquaresStudy.siteSquares, from: candidates, seed: job.seed)
            let counted = count(chosen, truth: try truth(job.fold.training, of: site.data))
            // One folder with the slides of both.
            let slides = folder(job).appendingPathComponent("slides", isDirectory: true)
            try FileManager.default.createDirectory(at: slides, withIntermediateDirectories: true)
            for url in part.fold.training.map(data.slide) + job.fold.training.map(site.data.slide) {
                let link = slides.appendingPathComponent(url.lastPathComponent)
                try? FileManager.default.removeItem(at: link)
                try FileManager.default.createSymbolicLink(at: link, withDestinationURL: url.standardizedFileURL)
            }
            output = folder(job).appendingPathComponent("model", isDirectory: true)
            try train(
                own + counted, slides: slides, settings: settings(of: job), output: output, steps: nil,
                progress: progress)
        }
        let seconds = Date().timeIntervalSince(start)
        var result = ExperimentResult(method: job.arm.rawValue, fold: job.fold.name, seed: job.seed)
        try FoldScoring(data: site.data, fold: job.fold, folder: folder(job)).score(
            try SegmentationModel(output, engine: .oneDNN(.float32)), into: &result, alsoUncut: false)
        result.trainingSeconds = seconds
        return result
    }

    public func perform(_ job: Job, progress: (String) -> Void) throws -> ExperimentResult {
        if let site = job.site { return try performOnSite(job, site: site, progress: progress) }
        let start = Date()
        let squares = try squares(of: job, progress: progress)
        try AtomicFile.write(
            Data(SquareTable.text(squares).utf8), to: folder(job).appendingPathComponent("squares.csv"))
        let output = folder(job).appendingPathComponent("model", isDirectory: true)
        try train(
            squares, slides: data.slides, settings: settings(of: job), output: output, steps: nil, progress: progress)
        let seconds = Date().timeIntervalSince(start)
        var result = ExperimentResult(method: "\(job.arm.rawValue)-\(job.count)", fold: job.fold.name, seed: job.seed)
        result.empty = Double(squares.count { $0.lymphocytes < 0.5 }) / Double(max(1, squares.count))
        try FoldScoring(data: data, fold: job.fold, folder: folder(job)).score(
            try SegmentationModel(output, engine: .oneDNN(.float32)), into: &result, alsoUncut: false)
        result.trainingSeconds = seconds
        return result
    }

    private func train(
        _ squares: [CountedSquare], slides: URL, settings: LymphocyteSettings, output: URL, steps: Int?,
        progress: (String) -> Void
    ) throws {
        var training = LymphocyteTraining(slides: slides, heatmaps: nil, output: output, settings: settings)
        training.squares = squares
        _ = try training.run(steps: steps ?? settings.training.steps, resume: true) { event in
            if case .progress(let step, let member, _) = event, step.step % Trainer.interval == 0 {
                progress(
                    String(
                        format: "network %d, step %d/%d, %.2f s/step", member, step.step, step.steps,
                        step.secondsPerStep))
            }
        }
    }

    // MARK: Choosing and counting

    private func squares(of job: Job, progress: (String) -> Void) throws -> [CountedSquare] {
        let files = job.fold.training.map { SlideFile(data.slide($0)) }
        let collector = SquareCandidates(seed: job.seed)
        let (candidates, failures) = collector.collect(files)
        if let failure = failures.first { throw InputError(.unusable, failure.message) }
        let truth = try truth(job.fold.training, of: data)
        switch job.arm {
        case .chance: return count(SquareChoice.byChance(job.count, from: candidates, seed: job.seed), truth: truth)
        case .chosen:
            return count(SquareChoice.choose(job.count, from: candidates, seed: job.seed), truth: truth)
        case .noisy:
            let exact = count(SquareChoice.choose(job.count, from: candidates, seed: job.seed), truth: truth)
            var generator = SeededGenerator(seed: job.seed, stream: 21)
            return exact.map { square in
                var read = square
                // Each reader's ±15 %: whole cells, never fewer than none.
                let error = SquaresStudy.readerError * square.lymphocytes * Double(generator.nextGaussian())
                read.lymphocytes = max(0, (square.lymphocytes + error).rounded())
                return read
            }
        case .away, .there: return []
        case .loop:
            let first = Int(Double(job.count) * SquaresStudy.loopStart)
            var chosen = SquareChoice.choose(first, from: candidates, seed: job.seed)
            var round = 1
            while chosen.count < job.count {
                round += 1
                let output = folder(job).appendingPathComponent("round-\(round)", isDirectory: true)
                var settings = settings(of: job)
                settings.training.student = nil
                settings.training.schedule = .cosine(warmup: 20, length: SquaresStudy.loopTrainingSteps)
                try train(
                    count(chosen, truth: truth), slides: data.slides, settings: settings, output: output,
                    steps: SquaresStudy.loopTrainingSteps, progress: progress)
                let found = collector.collect(files, model: try SquareModel(output)).candidates
                let next = SquareChoice.choose(
                    min(SquaresStudy.loopStep, job.count - chosen.count), from: found, taken: chosen, round: round,
                    seed: job.seed)
                guard !next.isEmpty else { break }
                chosen += next
            }
            return count(chosen, truth: truth)
        }
    }

    private func truth(_ slides: [String], of data: ExperimentData) throws -> [String: [CellEvaluation.Point]] {
        var truth: [String: [CellEvaluation.Point]] = [:]
        for slide in slides {
            truth[slide] =
                try CellEvaluation.readTruth(data.cells(slide), types: [LymphocyteExperiment.lymphocyteType])[slide]
        }
        return truth
    }

    private func count(
        _ squares: [SquareRecord], truth: [String: [CellEvaluation.Point]]
    ) -> [CountedSquare] {
        squares.map { square in
            let (x, y, side) = (square.level0X, square.level0Y, square.level0Side)
            let inside = (truth[square.slide] ?? []).count {
                $0.x >= x && $0.y >= y && $0.x < x + side && $0.y < y + side
            }
            return CountedSquare(
                slide: square.slide, level0X: x, level0Y: y, sideMicrons: square.sideMicrons,
                lymphocytes: Double(inside), reader: "truth")
        }
    }
}
