import Failures
import Foundation
import GraticuleTesting
import Raster
import Testing

@testable import WholeSlide
import Tables

/// Inputs of the kinds that people really have: each is read rightly, or named in one sentence.
struct InputTests {
    private func withFile<Result>(_ name: String, _ text: String, _ body: (URL) throws -> Result) throws -> Result {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent(name)
            try Data(text.utf8).write(to: file)
            return try body(file)
        }
    }

    // MARK: Tables

    @Test(arguments: [
        "\u{feff}class,n\n1,2\n3,4\n", "class,n\r1,2\r3,4\r", "class,n\r\n1,2\r\n\r\n3,4", "n,class\n2,1\n4,3\n",
        ",class,n\n0,1,2\n1,3,4\n", "class;n\n1;2\n3;4\n", "class\tn\n1\t2\n3\t4\n", "class,n,,\n1,2,,\n,,,\n3,4,,\n",
        "\"class\",\"n\"\n\"1\",\"2\"\n\" 3\",\"4 \"\n",
    ]) func tablesOfOtherProgramsAreTheSame(text: String) throws {
        try withFile("t.csv", text) { file in
            var rows: [[Double]] = []
            try CSVTable.read(file, requiring: ["class", "n"]) { row in
                rows.append([try row.number("class"), try row.number("n")])
            }
            #expect(rows == [[1, 2], [3, 4]])
        }
    }

    @Test func semicolonsGoWithDecimalCommas() throws {
        try withFile("t.csv", "a;b\n0,25;1.5\n") { file in
            var read: [Double] = []
            try CSVTable.read(file, requiring: ["a", "b"]) { read += [try $0.number("a"), try $0.number("b")] }
            #expect(read == [0.25, 1.5])
        }
    }

    @Test(arguments: [
        ("a,b\n1,2,3\n", "PATH line 2 has 3 fields, the header 2: quote what holds a separator"),
        ("a,b\n1,\"2\n", "PATH line 2: a quote is opened and not closed"),
        ("a,b\n1,\"2\"x\n", "PATH line 2: text follows a closing quote"),
        ("", "PATH is empty: a table begins with the names of its columns"),
        ("a,a,b\n1,2,3\n", "PATH has two columns 'a': which one counts?"),
        ("a\n1\n", "PATH has no column 'b' (it has: a)"),
        ("a,b\n1,0x10\n", "PATH line 2: '0x10' in column 'b' is no number"),
        ("a,b\n1,nan\n", "PATH line 2: 'nan' in column 'b' is no number"),
    ]) func whatIsNoTableIsNamed(text: String, wanted: String) throws {
        try withFile("t.csv", text) { file in
            let error = try #require(throws: TableError.self) {
                try CSVTable.read(file, requiring: ["a", "b"]) { _ = try $0.number("b") }
            }
            #expect(error.message == wanted.replacing("PATH", with: file.path))
        }
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let names = ["a,b", "say \"x\"", "two\nlines", " blank", "plain", "semi;colon"]
        let text = TableText.line(["name", "n"]) + names.map { TableText.line([$0, "1"]) }.joined()
        try withFile("t.csv", text) { file in
            var read: [String] = []
            try CSVTable.read(file, requiring: ["name", "n"]) { read.append(try $0.text("name")) }
            #expect(read == names)
        }
    }

    @Test func utf16IsNamed() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("t.csv")
            try #require("a,b\n1,2\n".data(using: .utf16)).write(to: file)
            let error = try #require(throws: TableError.self) { try CSVTable.read(file, requiring: ["a"]) { _ in } }
            #expect(error.message == "\(file.path) is UTF-16: save it as UTF-8")
        }
    }

    // MARK: Heatmaps

    @Test(arguments: [198.4, 201.2, 100, 99.7]) func gridsWithFractionalStepsAreFitted(step: Double) throws {
        // As quip writes them: whole pixels of a grid that is none.
        var text = "\u{feff}"
        for row in 0..<40 {
            for column in 0..<90 where (row + column) % 7 != 0 {
                let (x, y) = (Int(1 + (Double(column) + 0.5) * step), Int(1 + (Double(row) + 0.5) * step))
                text += "\(x) \(y) 0.5 0\n"
            }
        }
        let count = text.count { $0 == "\n" }
        try withFile("prediction-a", text) { file in
            let heatmap = try Heatmap(file)
            #expect(heatmap.regions.count == count, "the first line, behind a byte order mark, is a region too")
            #expect(abs(heatmap.level0Side - step) < 0.02)
            // No region lies off the fitted grid.
            let left = heatmap.regions.map(\.level0X).min() ?? 0
            for region in heatmap.regions {
                let place = (region.level0X - left) / heatmap.level0Side
                #expect(abs(place - place.rounded()) < 0.02)
            }
        }
    }

    @Test func axesThatDoNotAgreeAreNamedWithBothNumbers() throws {
        try withFile("prediction-a", "50 50 0 0\n150 50 0 0\n250 50 0 0\n50 190 0 0\n50 330 0 0\n") { file in
            let error = try #require(throws: SlideError.self) { try Heatmap(file) }
            #expect(
                error.message
                    == "heatmap \(file.path) has regions 100 px apart across and 140 px down: they are no squares")
        }
    }

    @Test func aBombIsRefusedBeforeItTakesMemory() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("prediction-a.gz")
            let made = try Subprocess.run(
                "/bin/sh", ["-c", "yes '50 50 0.5 0' | head -c 100000000 | gzip -9 > '\(file.path)'"])
            #expect(made.status == 0)
            let error = try #require(throws: SlideError.self) { try Heatmap(file) }
            #expect(error.message == "\(file.path) unpacks to more than 150 times its size: it holds no labels")
        }
    }

    @Test func aPipeIsNotWaitedFor() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("pipe.svs")
            #expect(mkfifo(file.path, 0o600) == 0)
            let slide = try #require(throws: SlideError.self) { try Slide(file) }
            #expect(slide.message == "cannot open slide \(file.path): it is no regular file")
            let text = try #require(throws: SlideError.self) { try Heatmap(file) }
            #expect(text.message == "cannot open \(file.path): it is no regular file")
        }
    }

    // MARK: Names

    @Test func filesBelongToTheSlideOfTheirStemAndToNoOther() throws {
        try TestFolders.withTemporary { folder in
            for name in [
                "prediction-S19-123.A1", "S19-123.B2.svs.CSV.gz", "nfc-e\u{301}.TXT", "two.csv", "prediction-two",
            ] { try Data().write(to: folder.appendingPathComponent(name)) }
            func found(_ name: String) throws -> String? {
                try FilePairing(SlideFile(URL(fileURLWithPath: "/x/\(name)")), in: folder).heatmap()?.lastPathComponent
            }
            #expect(try found("S19-123.A1.svs") == "prediction-S19-123.A1")
            #expect(try found("S19-123.B2.svs") == "S19-123.B2.svs.CSV.gz")
            #expect(try found("S19-123.svs") == nil)
            #expect(try found("S19-123.C3.svs") == nil)
            #expect(try found("nfc-\u{e9}.svs") != nil, "a composed and a decomposed name are one")
            let error = try #require(throws: SlideError.self) { try found("two.svs") }
            #expect(
                error.message == "slide two has several files that may be its heatmap in \(folder.path): "
                    + "prediction-two and two.csv: leave one")
        }
    }

    @Test func foldersWithinFoldersAreWalkedAndNamesToldApart() throws {
        try TestFolders.withTemporary { folder in
            for inner in ["a", "b", "c.mrxsdata", "m"] {
                try FileManager.default.createDirectory(
                    at: folder.appendingPathComponent(inner), withIntermediateDirectories: true)
            }
            for name in ["a/x.svs", "b/x.svs", "x.tif", "m.mrxs", "m/data.tif", ".hidden.svs"] {
                try Data("x".utf8).write(to: folder.appendingPathComponent(name))
            }
            let contents = SlideFolder.contents(of: [folder])
            #expect(contents.slides.map(\.relativePath) == ["m.mrxs", "x.tif", "a/x.svs", "b/x.svs"])
            #expect(contents.nestedFolders == 2)
            #expect(contents.slides.map(\.title) == ["m", "x.tif", "a/x.svs", "b/x.svs"])
            // One heatmap for three slides of a name: whose?
            let heatmaps = folder.appendingPathComponent("h")
            try FileManager.default.createDirectory(
                at: heatmaps.appendingPathComponent("a"), withIntermediateDirectories: true)
            for name in ["prediction-x", "a/prediction-x"] {
                try Data().write(to: heatmaps.appendingPathComponent(name))
            }
            func heatmap(_ index: Int) throws -> URL? {
                try FilePairing(contents.slides[index], in: heatmaps).heatmap()
            }
            #expect(try #require(try heatmap(2)).path.hasSuffix("h/a/prediction-x"))
            #expect(throws: SlideError.self) { try heatmap(3) }
        }
    }

    // MARK: Outlines

    private func mask(_ geojson: String) throws -> TissueMask {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        return try withFile("t.geojson", geojson) { file in
            try TissueMask(slide: slide, scale: slide.scale(), source: .outlines(file))
        }
    }

    private func polygon(_ rings: String) -> String { #"{"type":"Polygon","coordinates":[\#(rings)]}"# }

    @Test func outlinesHoldToTheOutlineItself() throws {
        let found = try mask(
            polygon("[[101,101],[503,101],[503,503],[101,503]],[[201,201],[303,201],[303,303],[201,303]]"))
        let wanted = (402.0 * 402 - 102 * 102) * 0.25 / 1e6
        #expect(abs(found.areaSquareMillimeters - wanted) < 1e-9)
        #expect(found.contains(level0X: 101.5, level0Y: 101.5) && !found.contains(level0X: 100.5, level0Y: 300))
        #expect(!found.contains(level0X: 250, level0Y: 250), "a hole is no tissue")
        #expect(found.contains(level0X: 200.5, level0Y: 250) && !found.contains(level0X: 503.5, level0Y: 400))
        // Tiles side by side share nothing and leave nothing out.
        for side in [64.0, 130, 256] {
            var sum = 0.0
            for y in stride(from: 0, to: 800.0, by: side) {
                for x in stride(from: 0, to: 800.0, by: side) {
                    sum += found.areaSquareMillimeters(level0X: x, level0Y: y, width: side, height: side)
                }
            }
            #expect(abs(sum - wanted) < 1e-9)
        }
    }

    @Test func polygonsThatOverlapCountOnce() throws {
        let square = "[[[0,0],[400,0],[400,400],[0,400],[0,0]]]"
        let found = try mask(#"{"type":"MultiPolygon","coordinates":[\#(square),\#(square)]}"#)
        #expect(abs(found.areaSquareMillimeters - 400 * 400 * 0.25 / 1e6) < 1e-9)
        #expect(found.contains(level0X: 200, level0Y: 200))
    }

    @Test(arguments: [
        (
            #"{"type":"Polygon","coordinates":[[[5000,5000],[6000,5000],[6000,6000]]]}"#,
            "covers nothing of slide phantom-1"
        ),
        (
            #"{"type":"Polygon","coordinates":[[[0,-9000],[600,-9000],[600,-8000]]]}"#,
            "covers nothing of slide phantom-1"
        ),
        (
            #"{"type":"Polygon","coordinates":[[[0,0],[6e300,0],[600,600]]]}"#,
            "a corner is no pair of numbers on a slide"
        ),
        (#"{"type":"Polygon","coordinates":[[[0,0],["a",0],[600,600]]]}"#, "a corner is no pair of numbers on a slide"),
        (#"{"type":"Polygon","coordinates":[]}"#, "a polygon has no rings"),
        (#"{"type":"Point","coordinates":[1,2]}"#, "it has no polygon, only Point"), ("[", "it is no JSON"),
    ]) func outlinesThatCoverNothingAreNamed(text: String, wanted: String) throws {
        let error = try #require(throws: SlideError.self) { try mask(text) }
        #expect(error.message.contains(wanted), "\(error)")
    }

    @Test func groundDoesNotDependOnTilesAndReachesAroundTheTissue() throws {
        let found = try mask(polygon("[[300,300],[420,300],[420,420],[300,420]]"))
        let frame = WorkingFrame(micronsPerPixel: 0.5, level0PerPixel: 1, level0Width: 800, level0Height: 800)
        let ground = found.ground(frame, side: 64)
        #expect(ground.isTissue(x: 310, y: 310) && !ground.isTissue(x: 200, y: 310))
        // 128 µm are 256 px around.
        #expect(ground.spans(row: 310, columns: 0..<800) == [0..<704])
        #expect(Ground(data: ground.data, side: 64, columns: 13, rows: 13, isFound: false) == ground)
    }

    // MARK: Identity

    @Test func aSlideIsKnownByItsContent() throws {
        try TestFolders.withTemporary { folder in
            let source = PhantomFixture.folder.appendingPathComponent("phantom-1.svs")
            let (copy, other) = (folder.appendingPathComponent("a.svs"), folder.appendingPathComponent("b.svs"))
            try FileManager.default.copyItem(at: source, to: copy)
            var bytes = try Data(contentsOf: source)
            // One byte in a tile of level 0, which OpenSlide's own hash does not see.
            bytes[bytes.count / 2] ^= 1
            try bytes.write(to: other)
            let identity = try Slide(source).contentIdentity()
            let opened = try Slide(copy)
            #expect(try opened.contentIdentity() == identity)
            #expect(try Slide(other).contentIdentity() != identity)
            try opened.checkUnchanged(identity: identity)
            // Touched is not changed; replaced is.
            try Data(contentsOf: source).write(to: copy)
            try opened.checkUnchanged(identity: identity)
            try bytes.write(to: copy)
            let error = try #require(throws: SlideError.self) { try opened.checkUnchanged(identity: identity) }
            #expect(error.code == .changed)
            try FileManager.default.removeItem(at: copy)
            #expect(throws: SlideError.self) { try opened.checkUnchanged(identity: identity) }
        }
    }
}
