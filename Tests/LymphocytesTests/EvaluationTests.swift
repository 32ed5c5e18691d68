import BatchWork
import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import ResultStore
import Testing

@testable import Lymphocytes

struct EvaluationTests {
    @Test func pairsAreMatchedNearestFirstAndOnce() {
        let truth = [(x: 0.0, y: 0.0), (x: 10.0, y: 0.0), (x: 100.0, y: 100.0)]
        let found = [(x: 1.0, y: 0.0), (x: 2.0, y: 0.0), (x: 13.0, y: 0.0), (x: 104.1, y: 100.0)]
        #expect(CellEvaluation.matches(found, truth, distance: 4) == 2)
        let record = CellEvaluation.compare(found: found, truth: truth, distance: 4, withinMicrons: 2, source: "t")
        #expect(record.precision == 0.5)
        #expect(abs(record.recall - 2.0 / 3) < 1e-12)
        #expect(abs(record.f1 - 4.0 / 7) < 1e-12)
    }

    @Test func darknessIsScoredBesideTheModelAndStored() throws {
        try TestFolders.withTemporary { folder in
            let model = try PhantomFixture.darknessModel(folder: folder)
            let set = try PatchSet(PhantomFixture.folder.appendingPathComponent("patches/phantom-2"), givenScale: nil)
            let evaluation = try PatchEvaluation(set, model: model, score: .disc) { _, _ in }
            // This model is darkness itself: the mean over the same disc.
            #expect(abs(evaluation.auc.value - evaluation.darkness.value) < 1e-6)
            #expect(evaluation.darkness.value < 0.85, "phantoms must not be told apart by darkness")
            let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
            for _ in 0..<2 { try evaluation.save(in: store, set: set, model: model, score: .disc) }
            var rows: [[ResultStore.Value]] = []
            try store.query("SELECT COUNT(DISTINCT evaluation_id), COUNT(*) FROM patch_score") { _, values in
                if let values { rows.append(values) }
            }
            #expect(rows == [[.integer(1), .integer(Int64(set.patches.count))]])
            let chart = folder.appendingPathComponent("roc.png")
            try evaluation.writeChart(to: chart, set: set.name, model: "m", score: .disc)
            #expect(try PNG.readRGB(chart).width == 640)
        }
    }

    @Test func foldersByClassNeedAScale() throws {
        try TestFolders.withTemporary { folder in
            for label in ["lymphocyte", "other"] {
                let own = folder.appendingPathComponent(label)
                try FileManager.default.createDirectory(at: own, withIntermediateDirectories: true)
                try PNG.write(RGBImage(width: 20, height: 20), to: own.appendingPathComponent("1.png"))
            }
            #expect(throws: InputError.self) { try PatchSet(folder, givenScale: nil) }
            let set = try PatchSet(folder, givenScale: 0.25)
            #expect(set.patches.map(\.isLymphocyte) == [true, false])
        }
    }

    @Test func aBrokenPatchCostsItselfAndOnesOutsideAreRefused() throws {
        try TestFolders.withTemporary { folder in
            try PNG.write(RGBImage(width: 100, height: 100), to: folder.appendingPathComponent("a.png"))
            try PNG.write(RGBImage(width: 100, height: 100), to: folder.appendingPathComponent("b.png"))
            try Data("x".utf8).write(to: folder.appendingPathComponent("c.jpg"))
            let table = folder.appendingPathComponent("labels.csv")
            try Data("file,label,mpp\na.png,lymphocyte,0.5\nb.png,other,0.5\nc.jpg,other,0.5\n".utf8).write(to: table)
            let model = try PhantomFixture.darknessModel(folder: folder)
            let evaluation = try PatchEvaluation(PatchSet(folder, givenScale: nil), model: model, score: .centre) {
                _, _ in
            }
            #expect(evaluation.failures.map(\.name) == ["c.jpg"])
            #expect(evaluation.auc.value == 0.5, "two equal patches")
            try Data("file,label,mpp\n../a.png,lymphocyte,0.5\nb.png,other,0.5\n".utf8).write(to: table)
            #expect(throws: InputError.self) { try PatchSet(folder, givenScale: nil) }
        }
    }

    @Test func patchesOfTrainingSlidesAreRecognised() throws {
        let set = try PatchSet(PhantomFixture.folder.appendingPathComponent("patches/phantom-2"), givenScale: nil)
        #expect(set.slides(among: ["phantom-1", "phantom-2"]) == ["phantom-2"])
    }

    @Test(arguments: [
        ("class,lymphocytes\n0,1\n", "class 1, 2, 3"), ("class,lymphocytes\n0,\n", "line 2"),
        ("class,lymphocytes\n12,1\n", "line 2"), ("class,lymphocytes\n0,-2\n", "line 2"), ("class\n0\n", "lymphocytes"),
        ("class,lymphocytes\n0,many\n", "many"),
    ]) func countsThatAreNoneAreNamed(text: String, wanted: String) throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("counts.csv")
            try Data(text.utf8).write(to: file)
            let error = try #require(throws: (any Error).self) { try CountTable.priors(file) }
            #expect("\(error)".contains(wanted), "\(error)")
        }
    }

    @Test func labelsAndTypesThatMayMeanAnythingAreNamed() throws {
        try TestFolders.withTemporary { folder in
            func failure(_ rows: String) throws -> String {
                try Data("file,label,mpp\n\(rows)".utf8).write(to: folder.appendingPathComponent("labels.csv"))
                return try #require(throws: InputError.self) { try PatchSet(folder, givenScale: nil) }.message
            }
            #expect(
                try failure("a.png,1,0.5\nb.png,2,0.5\n")
                    == "patch set \(folder.path) has the label 2: numbers are 0 (other) and 1 (lymphocyte); else use names"
            )
            #expect(
                try failure("a.png,1,0.5\nb.png,0,0.5\na.png,0,0.5\n")
                    == "patch set \(folder.path) lists a.png twice")
            try Data("file,label,mpp\na.png,1.0,0.5\nb.png,0,0.5\nc.png,1,0.5\n".utf8)
                .write(to: folder.appendingPathComponent("labels.csv"))
            let set = try PatchSet(folder, givenScale: nil)
            #expect(set.patches.map(\.isLymphocyte) == [true, false, true])
            let truth = folder.appendingPathComponent("truth.csv")
            try Data("slide,x,y,type\ns,1,1,lymphocyte\ns,2,2,\n".utf8).write(to: truth)
            let error = try #require(throws: InputError.self) {
                try CellEvaluation.readTruth(truth, types: ["lymphocyte"])
            }
            #expect(error.message == "\(truth.path) line 3: the type is missing")
            try Data("slide,x,y,type\ns,1,1,lymphocyte\ns,2,2,lymphocytn\ns,3,3,other\ns,4,4,other\n".utf8).write(
                to: truth)
            var others: [String: Int] = [:]
            let cells = try CellEvaluation.readTruth(truth, types: ["lymphocyte"]) { others = $0 }
            #expect(cells["s"]?.count == 1 && others == ["lymphocytn": 1, "other": 2])
        }
    }
}
