import Foundation
import GraticuleTesting
import LabelSuperResolution
import Testing

@testable import Lymphocytes

/// What an experiment takes for done, without training anything.
struct ExperimentTests {
    private func experiment(in folder: URL, only names: Set<String>) throws -> LymphocyteExperiment {
        let fold = ExperimentFold(name: "x", training: ["p", "q"], test: "r", counts: "counts.csv", hasPatches: false)
        let data = folder.appendingPathComponent("data")
        for name in ["slides/p.svs", "slides/q.svs", "slides/r.svs", "heatmaps/p", "truth/r.cells.csv"] {
            let file = data.appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data().write(to: file)
        }
        let counts = (0...9).map { "\($0),p,0,0,\($0)\n\($0),q,0,0,\($0)" }.joined(separator: "\n")
        try Data("class,slide,x,y,lymphocytes\n\(counts)\n".utf8).write(to: data.appendingPathComponent("counts.csv"))
        return try LymphocyteExperiment(
            data: data, work: folder.appendingPathComponent("work"), folds: [fold],
            methods: ExperimentMethod.comparison.filter { names.contains($0.name) })
    }

    private func store(
        _ experiment: LymphocyteExperiment, _ job: LymphocyteExperiment.Job, scoring: String?
    ) throws {
        var result = ExperimentResult(method: job.method.name, fold: job.fold.name, seed: job.seed)
        (result.identity, result.scoring) = (try experiment.identity(job), scoring)
        try FileManager.default.createDirectory(at: experiment.folder(job), withIntermediateDirectories: true)
        try JSONEncoder().encode(result).write(
            to: experiment.folder(job).appendingPathComponent("result.json"))
    }

    /// Cells that are made in another way are scored anew; rivals have none.
    @Test func aResultIsDoneWithItsSettingsAndItsScoring() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["l2", "hr-svm"])
            let network = try #require(experiment.jobs.first { $0.method.name == "l2" })
            let rival = try #require(experiment.jobs.first { $0.method.name == "hr-svm" })
            #expect(experiment.result(network) == nil)
            try store(experiment, network, scoring: CellOutliner.settings(splitDepth: 0.1))
            try store(experiment, rival, scoring: nil)
            #expect(experiment.result(network) == nil && experiment.result(rival) != nil)
            try store(experiment, network, scoring: CellOutliner.settings())
            #expect(experiment.result(network) != nil)
            var longer = experiment
            longer.steps += 1
            #expect(longer.result(network) == nil && longer.result(rival) == nil)
        }
    }

    /// A student of networks that are trained otherwise is another student.
    @Test func whatAJobIsMadeOfBelongsToItsIdentity() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["sr", "sr-self", "sr-self-plain"])
            func identity(_ name: String, _ experiment: LymphocyteExperiment) throws -> String {
                try experiment.identity(try #require(experiment.jobs.first { $0.method.name == name }))
            }
            // Members are settings of the networks, not of their students.
            var other = experiment
            other.members = 2
            #expect(try identity("sr", experiment) != identity("sr", other))
            #expect(try identity("sr-self", experiment) != identity("sr-self", other))
            #expect(try identity("sr-self", experiment) != identity("sr-self-plain", experiment))
        }
    }

    /// Made of what is not there yet: it costs only itself, and says what is missing.
    @Test func aStudentWithoutItsTeachersIsRefused() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["sr-self"])
            var failures: [String] = []
            let isComplete = try experiment.run { event in
                if case .failed(_, let failure) = event { failures.append(failure.message) }
            }
            #expect(!isComplete && failures.count == 3)
            #expect(failures.allSatisfy { $0.contains("made of x/sr-") })
        }
    }

    @Test func studentsComeAfterTheirTeachers() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["sr-self", "sr", "sr-pair"])
            let names = experiment.jobs.map(\.method.name)
            #expect(names.prefix(3) == ["sr", "sr", "sr"] && names.count == 9)
        }
    }
}
