import BatchWork
import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Testing

@testable import Lymphocytes
@testable import Studies

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

    /// Cells that are made in another way are scored anew; rivals have none.
    @Test func aResultIsDoneWithItsSettingsAndItsScoring() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["l2", "hr-svm"])
            let network = try #require(experiment.jobs.first { $0.method.name == "l2" })
            let rival = try #require(experiment.jobs.first { $0.method.name == "hr-svm" })
            #expect(experiment.result(network) == nil)
            for job in [network, rival] {
                try FileManager.default.createDirectory(at: experiment.folder(job), withIntermediateDirectories: true)
                try experiment.keep(
                    ExperimentResult(method: job.method.name, fold: job.fold.name, seed: job.seed), of: job)
                #expect(experiment.result(job) != nil)
            }
            // As it was kept before scoring changed.
            let file = experiment.folder(network).appendingPathComponent("result.json")
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(text.contains("\"scoring\" : 1"))
            try Data(text.replacingOccurrences(of: "\"scoring\" : 1", with: "\"scoring\" : 0").utf8).write(to: file)
            #expect(experiment.result(network) == nil && experiment.result(rival) != nil)
            try Data(text.utf8).write(to: file)
            var longer = experiment
            longer.steps += 1
            #expect(longer.result(network) == nil && longer.result(rival) == nil)
        }
    }

    /// A student of networks that are trained otherwise is another student.
    @Test func whatAJobIsMadeOfBelongsToItsIdentity() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["sr", "sr-self"])
            func identity(_ name: String, _ experiment: LymphocyteExperiment) throws -> String {
                try experiment.identity(try #require(experiment.jobs.first { $0.method.name == name }))
            }
            // Members are settings of the networks, not of their students.
            var other = experiment
            other.members = 2
            #expect(try identity("sr", experiment) != identity("sr", other))
            #expect(try identity("sr-self", experiment) != identity("sr-self", other))
        }
    }

    /// What is said of teachers: nothing, what is wanted, or other settings.
    @Test func aStudentStartsWithTheTeachersThatAreWanted() throws {
        try TestFolders.withTemporary { folder in
            let experiment = try experiment(in: folder, only: ["sr", "sr-self"])
            let student = try #require(experiment.jobs.first { $0.method.name == "sr-self" })
            // A training that was finished with other settings: a job that cannot start must not cost it.
            let kept = experiment.folder(student).appendingPathComponent("identity.txt")
            try FileManager.default.createDirectory(at: experiment.folder(student), withIntermediateDirectories: true)
            try Data("other settings".utf8).write(to: kept)
            #expect(throws: InputError.self) { try experiment.checkParts(of: student) }
            let priors = try LabelPriors.defaultCurve(label: "lymphocyte", classCount: 10)
            let model = LymphocyteModelDescription(
                settings: LymphocyteModelSettings(), coarseClasses: ProbabilityClasses().names, priors: priors,
                training: TrainingPreset.fast.lymphocytes(seed: 1).training, steps: 1)
            for teacher in experiment.jobs where teacher.method.name == "sr" {
                let own = experiment.folder(teacher)
                try FileManager.default.createDirectory(
                    at: own.appendingPathComponent("model"), withIntermediateDirectories: true)
                try JSONEncoder().encode(model).write(to: own.appendingPathComponent("model/model.json"))
                try Data(try experiment.identity(teacher).utf8).write(to: own.appendingPathComponent("identity.txt"))
            }
            try experiment.checkParts(of: student)
            var other = experiment
            other.steps += 1
            let error = try #require(throws: InputError.self) { try other.checkParts(of: student) }
            #expect(error.message.contains("made of x/sr-1"))
            // The teachers cannot be trained here either: each job costs only itself.
            var failures: [String] = []
            let isComplete = try other.run { event in
                if case .failed(let job, let failure) = event, job.method.name == "sr-self" {
                    failures.append(failure.message)
                }
            }
            #expect(!isComplete && failures.count == 3 && failures.allSatisfy { $0.contains("made of x/sr-") })
            #expect(FileManager.default.fileExists(atPath: kept.path))
        }
    }

    @Test func studentsComeAfterTheirTeachers() throws {
        try TestFolders.withTemporary { folder in
            let named = try experiment(in: folder, only: ["sr-self", "sr", "sr-pair"])
            let late = ExperimentMethod(name: "late", title: "", seeds: 1, kind: .student(of: "l2", teachers: 1))
            let mixed = try LymphocyteExperiment(
                data: named.data.folder, work: named.work, folds: named.folds,
                methods: [late] + ExperimentMethod.comparison.filter { ["l2", "sr", "sr-pair"].contains($0.name) })
            let names = mixed.jobs.map(\.method.name)
            #expect(names == ["sr", "sr", "sr", "sr-pair", "sr-pair", "sr-pair", "l2", "late"])
            // A network that is used otherwise comes after the student that it is.
            let used = try LymphocyteExperiment(
                data: named.data.folder, work: named.work, folds: named.folds,
                methods: ExperimentMethod.ablations.reversed().filter {
                    ["use-turns", "self-round", "cluster-150"].contains($0.name)
                })
            let order = used.jobs.map { "\($0.method.name)-\($0.seed)" }
            #expect(
                order == [
                    "cluster-150-1", "cluster-150-2", "cluster-150-3", "self-round-1", "self-round-2", "use-turns-1",
                    "use-turns-2",
                ])
            let variant = try #require(used.jobs.last)
            #expect(throws: InputError.self) { try used.checkParts(of: variant) }
        }
    }

    /// What is not trained here needs no data of its own here.
    @Test func onlyTrainedFoldsNeedTheirData() throws {
        try TestFolders.withTemporary { folder in
            let whole = try experiment(in: folder, only: ["l2"])
            let missing = ExperimentFold(
                name: "y", training: ["p", "q"], test: "nowhere", counts: "none.csv", hasPatches: false)
            func both(_ trained: Set<String>?) throws -> LymphocyteExperiment {
                try LymphocyteExperiment(
                    data: whole.data.folder, work: whole.work, folds: whole.folds + [missing], trainedFolds: trained,
                    methods: whole.methods)
            }
            #expect(throws: InputError.self) { try both(nil) }
            let part = try both(["x"])
            #expect(part.jobs.count == 2 && part.jobs.allSatisfy { part.result($0) == nil })
        }
    }

    /// A folder that keeps a student holds one network, and says how it was taught.
    @Test func aModelDescribesTheStudentThatItKeeps() throws {
        var settings = TrainingPreset.fast.lymphocytes(seed: 1)
        settings.sampling.studentNoise = .otherScanner
        let model = LymphocyteModelDescription(
            settings: LymphocyteModelSettings(sampling: settings.sampling), coarseClasses: ProbabilityClasses().names,
            priors: try LabelPriors.defaultCurve(label: "lymphocyte", classCount: 10), training: settings.training,
            steps: 1)
        #expect(model.members == 1 && model.training.members == 3 && model.training.student?.evidenceWeight == 20)
        #expect(model.settings.sampling?.studentNoise == .otherScanner)
        settings.training.student = nil
        let members = LymphocyteModelDescription(
            settings: LymphocyteModelSettings(), coarseClasses: [], priors: model.priors, training: settings.training,
            steps: 1)
        #expect(members.members == 3)
    }

    /// A hundred squares come first; what another site's models are made of comes before them and belongs to their identity.
    @Test func squaresAreDoneInTheOrderOfTheQuestion() throws {
        try TestFolders.withTemporary { folder in
            let data = try experiment(in: folder, only: ["sr"]).data
            let fold = ExperimentFold(
                name: "x", training: ["p", "q"], test: "r", counts: "counts.csv", hasPatches: false)
            var study = try SquaresStudy(
                data: data.folder, work: folder.appendingPathComponent("squares"), folds: [fold])
            study.counts = [50, 100]
            study.seeds = 1
            #expect(
                study.jobs.map(\.name) == [
                    "x/chance-100-1", "x/chosen-100-1", "x/noisy-100-1", "x/loop-100-1", "x/chance-50-1",
                    "x/chosen-50-1",
                ])
            #expect(Set(try study.jobs.map { try study.identity($0) }).count == 6)
            var result = ExperimentResult(method: "chosen-100", fold: "x", seed: 1)
            result.empty = 0.4
            let job = study.jobs[1]
            try FileManager.default.createDirectory(at: study.folder(job), withIntermediateDirectories: true)
            try study.keep(result, of: job)
            let file = try SquaresReport(study: study, command: "test").write(to: folder)
            let page = try String(contentsOf: file, encoding: .utf8)
            #expect(page.contains("| 100 squares, chosen | – | – | – (–, –) | 0.40 | 1 |"))
            #expect(page.contains("`x/chance-100-1`, `x/noisy-100-1`"), "what is not done is named")
        }
    }
}
