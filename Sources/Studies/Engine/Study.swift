internal import BatchWork
public import Failures
public import Foundation
internal import Raster

/// One job of a study: a training and its scores, or a cross-validation.
public protocol StudyJob: Sendable {
    /// Its folder below the study's, such as `c/sr-1`.
    var name: String { get }
}

/// What a job reached.
public protocol StudyResult: Codable, Sendable {
    /// Of the job itself; what it is made of took its own.
    var trainingSeconds: Double { get set }
}

/// Jobs that are done one after another, each kept in a folder and not done again: what a page of docs/results is written from.
///
/// A study says what its jobs are, what decides each, and how one is done. Keeping, resuming and what a job is made of are here.
public protocol Study: Sendable {
    associatedtype Job: StudyJob
    associatedtype Result: StudyResult

    /// The folder of all jobs.
    var work: URL { get }
    /// In the order in which they are done: what a job is made of comes before it.
    var jobs: [Job] { get }
    /// Whether this process does a job; others may share the folder.
    func isOwn(_ job: Job) -> Bool
    /// Changes with all that decides what a job trains: settings, data, steps, program, and the jobs that it is made of.
    func identity(_ job: Job) throws -> String
    /// Raised where finished trainings are to be scored in another way: they are kept and scored anew.
    func scoringVersion(_ job: Job) -> Int
    /// The jobs whose networks a job is made of.
    func parts(of job: Job) throws -> [Job]
    /// Whether what others are made of is in a job's folder.
    func isUsable(_ job: Job) -> Bool
    /// Trains and scores; a training that was interrupted goes on.
    func perform(_ job: Job, progress: (String) -> Void) throws -> Result
}

/// What a run of a study tells on its way.
public enum StudyEvent<Job: StudyJob, Result: StudyResult> {
    case begun(Job, number: Int, of: Int)
    case progress(Job, text: String)
    case done(Job, Result, seconds: Double)
    case failed(Job, FailedInput)
}

/// A job's result as it is kept, with what it is a result of.
private struct KeptResult<Result: StudyResult>: Codable {
    var identity: String
    var scoring: Int
    var result: Result
}

/// A study of jobs that stand by themselves.
extension Study {
    public func isOwn(_ job: Job) -> Bool { true }
    public func scoringVersion(_ job: Job) -> Int { 1 }
    public func parts(of job: Job) throws -> [Job] { [] }
    public func isUsable(_ job: Job) -> Bool { true }
}

extension Study {
    public func folder(_ job: Job) -> URL { work.appendingPathComponent(job.name, isDirectory: true) }

    private func resultFile(_ job: Job) -> URL { folder(job).appendingPathComponent("result.json") }
    private func identityFile(_ job: Job) -> URL { folder(job).appendingPathComponent("identity.txt") }

    private func kept(_ job: Job) -> KeptResult<Result>? {
        (try? Data(contentsOf: resultFile(job))).flatMap {
            try? JSONDecoder().decode(KeptResult<Result>.self, from: $0)
        }
    }

    /// The result of a job, if it is done with these settings.
    public func result(_ job: Job) -> Result? {
        kept(job).flatMap { kept in
            (try? identity(job)) == kept.identity && scoringVersion(job) == kept.scoring ? kept.result : nil
        }
    }

    /// Keeps a result.
    func keep(_ result: Result, of job: Job) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let kept = KeptResult(identity: try identity(job), scoring: scoringVersion(job), result: result)
        try AtomicFile.write(try encoder.encode(kept), to: resultFile(job))
    }

    /// Does what is not done yet. A job that fails costs itself only.
    ///
    /// - Returns: whether all is done.
    public func run(report: (StudyEvent<Job, Result>) -> Void) throws -> Bool {
        let open = jobs.filter { isOwn($0) && result($0) == nil }
        var isComplete = true
        for (index, job) in open.enumerated() {
            report(.begun(job, number: index + 1, of: open.count))
            let start = Date()
            do {
                // First: a job that cannot start must not cost what is in its folder.
                try checkParts(of: job)
                let trainedBefore = try prepareFolder(job)
                var result = try perform(job) { report(.progress(job, text: $0)) }
                // Scored anew, not trained anew.
                result.trainingSeconds = trainedBefore ?? result.trainingSeconds
                try keep(result, of: job)
                report(.done(job, result, seconds: Date().timeIntervalSince(start)))
            } catch {
                isComplete = false
                report(.failed(job, FailedInput(name: job.name, error: error)))
            }
        }
        return isComplete
    }

    /// Makes the job's folder; what other settings left there would only stop the training, and is removed.
    ///
    /// - Returns: the seconds of a training with the same settings that is complete, and was scored in another way.
    private func prepareFolder(_ job: Job) throws -> Double? {
        let wanted = try identity(job)
        if (try? String(contentsOf: identityFile(job), encoding: .utf8)) != wanted,
            FileManager.default.fileExists(atPath: folder(job).path)
        {
            try FileManager.default.removeItem(at: folder(job))
        }
        try FileManager.default.createDirectory(at: folder(job), withIntermediateDirectories: true)
        try AtomicFile.write(Data(wanted.utf8), to: identityFile(job))
        return kept(job).flatMap { $0.identity == wanted ? $0.result.trainingSeconds : nil }
    }

    /// - Throws: ``InputError`` where a job that this one is made of is not trained with the settings that are asked for now.
    func checkParts(of job: Job) throws {
        for part in try parts(of: job) {
            let found = try? String(contentsOf: identityFile(part), encoding: .utf8)
            guard try found == identity(part), isUsable(part) else {
                throw InputError(
                    .unusable, "\(job.name) is made of \(part.name), which is not trained with these settings yet")
            }
        }
    }
}
