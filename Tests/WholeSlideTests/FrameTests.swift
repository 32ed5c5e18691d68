import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import WholeSlide
import Tables

struct FrameTests {
    @Test func framesConvertBothWays() {
        let frame = WorkingFrame(micronsPerPixel: 0.5, level0PerPixel: 1.98, level0Width: 1000, level0Height: 500)
        #expect(frame.width == 506 && frame.height == 253)
        #expect(abs(frame.working(frame.level0(123)) - 123) < 1e-9)
        let near = WorkingFrame(micronsPerPixel: 0.5, level0PerPixel: 2.000_01, level0Width: 10, level0Height: 10)
        #expect(near.level0PerPixel == 2, "rounding in a vendor's mpp is no resampling")
    }

    @Test func aSlideNamedTwiceIsListedOnceAndAMissingPathIsNamed() {
        let folder = PhantomFixture.folder
        let again = folder.appendingPathComponent("phantom-1.svs")
        let contents = SlideFolder.contents(of: [folder, again, URL(fileURLWithPath: "/nowhere")])
        #expect(contents.slides.map(\.fileName) == ["phantom-1.svs", "phantom-2.svs"])
        #expect(contents.failures.map(\.message) == ["no slide or folder at /nowhere"])
    }

    @Test func aGivenScaleServesOnlySlidesThatLackOne() throws {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        #expect(try slide.scale(given: 2) == SlideScale(micronsPerPixel: 0.5, source: .properties))
        #expect(throws: SlideError.self) { try slide.scale(given: .nan) }
    }

    @Test func tablesAreReadWithQuotesAndNameTheirFaults() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("t.csv")
            try Data("a,b\r\n\"x, \"\"y\"\"\",2\nz\n".utf8).write(to: file)
            var rows = 0
            try CSVTable.read(file, requiring: ["a", "b"]) { row in
                rows += 1
                if rows == 1 {
                    #expect(try row.text("a") == "x, \"y\"")
                    #expect(try row.number("b") == 2)
                    #expect(throws: TableError.self) { try row.number("a") }
                } else {
                    let short = try #require(throws: TableError.self) { try row.text("b") }
                    #expect(short.message == "\(file.path) line 3: the field 'b' is missing")
                }
            }
            #expect(rows == 2)
            #expect(throws: TableError.self) { try CSVTable.read(file, requiring: ["c"]) { _ in } }
        }
    }
}
