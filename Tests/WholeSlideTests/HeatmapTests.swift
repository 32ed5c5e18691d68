import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import WholeSlide

struct HeatmapTests {
    private func read(_ text: String, name: String = "prediction-a") throws -> Heatmap {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent(name)
            try Data(text.utf8).write(to: file)
            return try Heatmap(file)
        }
    }

    @Test(arguments: [
        "50 50 0.5 0\n150 50 1 0.2\n50 150 0 0\n", "x y lymphocyte necrosis\n50 50 0.5 0\n150 50 1 0.2\n50 150 0 0\n",
        "50 50 0.5\n150\t50  1.0\r\n\n50 150 0.0",
    ]) func centresBecomeCorners(text: String) throws {
        let heatmap = try read(text)
        #expect(heatmap.level0Side == 100)
        #expect(heatmap.regions.map(\.level0X) == [0, 100, 0])
        #expect(heatmap.regions.map(\.probability) == [0.5, 1, 0])
    }

    @Test func partialRegionsDoNotChangeTheStep() throws {
        #expect(try read("50 50 0 0\n150 50 0 0\n250 50 0 0\n337 50 0 0\n").level0Side == 100)
    }

    @Test(arguments: [
        ("50 50 nan 0\n150 50 0 0\n", "line 1"), ("50 50 0 0\n150 50 1.2 0\n", "line 2"),
        ("50 50 0 0\n150 50 -0.1 0\n", "line 2"), ("50 50 0 0\nhello\n", "line 2"), ("50 50 0 0 7 8\n", "line 1"),
        ("inf 50 0 0\n150 50 0 0\n", "line 1"), ("50 50\n150 50\n", "line 1"), ("", "no regions"),
        ("50 50 0.5 0\n", "single region"),
    ]) func whatIsNoLabelIsNamedByLine(text: String, wanted: String) throws {
        let error = try #require(throws: SlideError.self) { try read(text) }
        #expect(error.message.contains(wanted), "\(error)")
    }

    @Test func wsinferTablesWithoutLymphocytesOrWithOtherShapesAreRefused() {
        #expect(throws: SlideError.self) { try read("minx,miny,width,height,prob_Tumor\n0,0,200,200,1\n") }
        #expect(throws: SlideError.self) { try read("minx,miny,width,height,prob_Lymphocytes\n0,0,200,100,1\n") }
        #expect(throws: SlideError.self) { try read("minx,miny,width,height,prob_Lymphocytes\n0,0,200,200,1.5\n") }
    }

    @Test func gzippedAndPlainAreTheSameAndACutOneIsRefused() throws {
        try TestFolders.withTemporary { folder in
            let plain = folder.appendingPathComponent("prediction-a")
            var text = ""
            for row in 0..<300 {
                for column in 0..<30 { text += "\(50 + 100 * column) \(50 + 100 * row) 0.\(column) 0\n" }
            }
            try Data(text.utf8).write(to: plain)
            let zipped = try Subprocess.run("/bin/sh", ["-c", "gzip -k '\(plain.path)'"])
            #expect(zipped.status == 0)
            let file = folder.appendingPathComponent("prediction-a.gz")
            #expect(try Heatmap(file).regions == Heatmap(plain).regions)
            let bytes = try Data(contentsOf: file)
            try bytes.prefix(bytes.count / 2).write(to: file)
            #expect(throws: SlideError.self) { try Heatmap(file) }
        }
    }

    @Test func slidesAndHeatmapsArePairedByStem() throws {
        try TestFolders.withTemporary { folder in
            for name in ["prediction-a", "prediction-a.low_res", "b.csv", "prediction-c.gz", "prediction-TCGA-1-DX1"] {
                try Data().write(to: folder.appendingPathComponent(name))
            }
            func found(_ name: String) throws -> String? {
                try FilePairing(SlideFile(folder.appendingPathComponent("\(name).svs")), in: folder).heatmap()?
                    .lastPathComponent
            }
            #expect(try found("a") == "prediction-a")
            #expect(try found("b") == "b.csv")
            #expect(try found("c") == "prediction-c.gz")
            #expect(try found("TCGA-1-DX1.0a1b2c3d-0123-4567-89ab-0123456789ab") == "prediction-TCGA-1-DX1")
            #expect(try found("TCGA-1-DX1.B2") == nil, "another block of the same case is another slide")
            #expect(try found("d") == nil)
        }
    }

    @Test func aHeatmapOfAnotherSlideDoesNotFit() throws {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        let scale = try slide.scale()
        try read("50 50 0 0\n150 50 0 0\n").check(fits: slide, scale: scale)
        let far = try #require(throws: SlideError.self) {
            try read("50 50 0 0\n150 50 0 0\n5050 50 0 0\n").check(fits: slide, scale: scale)
        }
        #expect(far.message.contains("5100") && far.message.contains("800"), "both numbers are named: \(far)")
        let coarse = try #require(throws: SlideError.self) {
            try read("100 100 0 0\n300 100 0 0\n").check(fits: slide, scale: scale)
        }
        #expect(coarse.message.contains("100.0 µm") && coarse.message.contains("50.0 µm"), "\(coarse)")
    }

    /// Of two labels at one place none is known, and overlapping regions count pixels twice.
    @Test func regionsLieOnceAndSideBySide() throws {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        let scale = try slide.scale()
        func failure(_ rows: [(Int, Int, Double)], columns: String = "") throws -> String {
            let text =
                columns.isEmpty
                ? rows.map { "\($0.0) \($0.1) \($0.2) 0\n" }.joined()
                : columns + rows.map { "\($0.0),\($0.1),100,100,\($0.2)\n" }.joined()
            let heatmap = try read(text)
            return try #require(throws: SlideError.self) { try heatmap.check(fits: slide, scale: scale) }.message
        }
        let grid = (0..<16).map { (50 + 100 * ($0 % 4), 50 + 100 * ($0 / 4), 0.5) }
        #expect(
            try failure(grid + [(150, 50, 0.9)]).hasSuffix(
                "lists the region at (100.0, 0.0) twice, with the probabilities 0.5 and 0.9"))
        let dense = (0..<36).map { (50 * ($0 % 6), 50 * ($0 / 6), 0.5) }
        #expect(try failure(dense, columns: "minx,miny,width,height,prob_TIL\n").contains("has regions that overlap"))
        // A partial column at the edge is none of that.
        let partial = grid + (0..<4).map { (425, 50 + 100 * $0, 0.5) }
        try read(partial.map { "\($0.0) \($0.1) \($0.2) 0\n" }.joined()).check(fits: slide, scale: scale)
    }
}
