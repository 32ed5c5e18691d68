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
            study.only = ["sr", "soft"]
            study.seeds = 2
            #expect(study.folds.map(\.name) == ["tiles/sw", "tiles/ne", "synthetic/land"])
            #expect(study.folds[0].training == ["q_ne_1"] && study.folds[0].tests == ["all": ["q_sw_1", "q_sw_2"]])
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
            study.only = ["sr", "soft"]
            study.seeds = 1
            func confusion(_ right: Int, _ wrong: Int) -> MapEvaluation.Confusion {
                var made = MapEvaluation.Confusion(labels: LandClasses.fourLabels.names)
                made.counts[1] = [0, right, wrong, 0, 0]
                return made
            }
            let counts = [
                "tiles/sw/sr-1": (90, 10), "tiles/ne/sr-1": (10, 90), "synthetic/land/sr-1": (7, 3),
                "tiles/sw/soft-1": (50, 50),
            ]
            for job in study.jobs {
                guard let counts = counts[job.name] else { continue }
                try FileManager.default.createDirectory(at: study.folder(job), withIntermediateDirectories: true)
                let pixels = confusion(counts.0, counts.1)
                try study.keep(
                    .init(trainingSeconds: 1, scores: ["all": .init(all: pixels, developed: pixels)]), of: job)
            }
            let file = try LandCoverReport(study: study, water: nil, command: "c").write(to: folder)
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(text.contains("| SR | 0.500 | 0.500 | 0.500 | 0.500 | 0.000 | 1 |"), "both places together")
            #expect(text.contains("| SR | 0.700 |") && !text.contains("| soft naive"))
            #expect(text.contains("`tiles/ne/soft-1`"))
        }
    }

    /// Two years are compared by a network that saw neither.
    @Test func yearsAreComparedByANetworkOfOthers() throws {
        try TestFolders.withTemporary { folder in
            for name in ["m_20140720", "m_20090818"] {
                try Data().write(to: folder.appendingPathComponent("\(name).tif"))
            }
            #expect(throws: InputError.self) { try WaterStudy(data: folder, work: folder) }
            for name in ["m_20180716", "m_20170827"] {
                try Data().write(to: folder.appendingPathComponent("\(name).tif"))
            }
            var study = try WaterStudy(data: folder, work: folder.appendingPathComponent("work"))
            study.seeds = 1
            #expect(study.jobs.map(\.name) == ["change/2009-2018-1", "change/2017-2018-1"])
            #expect(study.jobs.map(\.training) == [["2014", "2017"], ["2009", "2014"]])
        }
        #expect([0, 0.1, 0.5, 0.9, 1].map(WaterStudy.code(share:)) == [1, 2, 3, 4, 5])
    }
}
