import BatchWork
import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import LandCover
@testable import Studies

struct LandCoverStudyTests {
    @Test func eachPlaceIsMappedByTheOther() throws {
        try TestFolders.withTemporary { folder in
            let naip = folder.appendingPathComponent("naip")
            try FileManager.default.createDirectory(at: naip, withIntermediateDirectories: true)
            for name in ["q_sw_1", "q_sw_2"] { try Data().write(to: naip.appendingPathComponent("\(name).tif")) }
            #expect(throws: InputError.self) { try LandCoverStudy(data: folder, work: folder) }
            try Data().write(to: naip.appendingPathComponent("q_ne_1.tif"))
            var study = try LandCoverStudy(data: folder, work: folder.appendingPathComponent("work"))
            study.criteria = ["sr", "soft"]
            study.seeds = 2
            #expect(study.folds.map(\.name) == ["tiles/sw", "tiles/ne", "synthetic/land-3"])
            #expect(study.folds[0].training == ["q_ne_1"] && study.folds[0].test == ["q_sw_1", "q_sw_2"])
            let identities = try Set(study.jobs.map(study.identity))
            #expect(study.jobs.count == 12 && identities.count == 12)
        }
    }

    /// What is kept of jobs becomes the table; a row needs every fold of a seed.
    @Test func rowsAreMeansOverSeedsOfAllFoldsTogether() throws {
        try TestFolders.withTemporary { folder in
            let naip = folder.appendingPathComponent("naip")
            try FileManager.default.createDirectory(at: naip, withIntermediateDirectories: true)
            for name in ["q_sw_1", "q_ne_1"] { try Data().write(to: naip.appendingPathComponent("\(name).tif")) }
            var study = try LandCoverStudy(data: folder, work: folder.appendingPathComponent("work"))
            study.criteria = ["sr", "soft"]
            study.seeds = 1
            func confusion(_ right: Int, _ wrong: Int) -> MapEvaluation.Confusion {
                var made = MapEvaluation.Confusion(labels: LandClasses.fourLabels.names)
                made.counts[1] = [0, right, wrong, 0, 0]
                return made
            }
            for (job, counts) in zip(study.jobs, [(90, 10), (10, 90), (7, 3), (50, 50)]) {
                try FileManager.default.createDirectory(at: study.folder(job), withIntermediateDirectories: true)
                let scores = LandCoverStudy.MapScores(confusion: confusion(counts.0, counts.1))
                try study.keep(.init(trainingSeconds: 1, all: scores, developed: scores), of: job)
            }
            let file = try LandCoverReport(study: study, command: "c").write(to: folder)
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(text.contains("| SR | 0.500 | 0.500 | 0.500 | 0.500 | 0.000 | 1 |"), "both places together")
            #expect(text.contains("| SR | 0.700 |") && !text.contains("soft naive"))
        }
    }
}
