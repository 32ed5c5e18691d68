import Failures
import Foundation
import GraticuleTesting
import Raster
import Testing

@testable import WholeSlide

/// Real slides from `../shared/data`; skipped by name where they are not there.
@Suite(.enabled(if: TestFolders.shared != nil, "needs ../shared/data"))
struct RealSlideTests {
    private func file(_ path: String) throws -> URL { try #require(TestFolders.shared).appendingPathComponent(path) }

    @Test(arguments: [
        ("wsi/CMU-1-Small-Region.svs", 2220, 2967, 0.499), ("monusac/A9K0_1.svs", 1307, 1153, 0.19448),
        ("wsi/😐.svs", 16, 16, 0.499), ("consep/slides/consep-a.svs", 3800, 3800, 0.5),
    ]) func sizesAndScalesAreTheVendors(path: String, width: Int, height: Int, mpp: Double) throws {
        let slide = try Slide(file(path))
        #expect(slide.width == width && slide.height == height)
        let scale = try slide.scale()
        #expect(abs(scale.micronsPerPixel - mpp) < 1e-4)
        #expect(scale.source == .properties)
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: 0.5)
        let image = try WorkingReader(slide: slide, frame: frame).read(x: -3, y: -3, width: 20, height: 20)
        #expect(image[0, 0] == (255, 255, 255), "white beyond the slide")
    }

    @Test func aSlideWithoutScaleIsRefusedByNameOfTheOption() throws {
        let slide = try Slide(file("wsi/tcga-cr-7395-01a-01-ts1.svs"))
        let error = try #require(throws: SlideError.self) { try slide.scale() }
        #expect(error.message.contains("--mpp"))
        #expect(try slide.scale(given: 2) == SlideScale(micronsPerPixel: 2, source: .given))
        #expect(throws: SlideError.self) { try slide.scale(given: -1) }
    }

    @Test func anImpossibleScaleIsRefusedWithItsNumbersAndMayBeGiven() throws {
        // 72 dpi, as many programs write whatever the image is.
        let slide = try Slide(file("wsi/boxes.tiff"))
        let error = try #require(throws: SlideError.self) { try slide.scale() }
        #expect(
            error.message
                == "slide \(slide.url.path) says that its pixels are 352.78 × 352.78 µm, which is impossible: "
                + "give µm per pixel with --mpp")
        #expect(try slide.scale(given: 0.5) == SlideScale(micronsPerPixel: 0.5, source: .given))
    }

    @Test(arguments: [
        "broken.svs", "empty.svs", "text.svs", "truncated.svs", "unopenable.tiff", "unreadable.svs", "boxes_0.dcm",
    ])
    func badSlidesAreErrorsWithTheirName(name: String) throws {
        let url = try file("wsi-bad/\(name)")
        let error = try #require(throws: SlideError.self) {
            let slide = try Slide(url)
            _ = try TissueMask(slide: slide, scale: SlideScale(micronsPerPixel: 0.5, source: .given))
        }
        #expect("\(error)".contains(name))
        #expect(!"\(error)".contains("\n"))
    }

    @Test func tilesJoinToWhatIsReadAtOnce() throws {
        let slide = try Slide(file("monusac/A9K0_1.svs"))
        let frame = try WorkingFrame(slide: slide, scale: slide.scale(), micronsPerPixel: 0.5)
        let reader = WorkingReader(slide: slide, frame: frame)
        let whole = try reader.read(x: 0, y: 0, width: frame.width, height: frame.height)
        for (x, y) in [(0, 0), (100, 33), (frame.width - 40, frame.height - 40)] {
            #expect(
                try reader.read(x: x, y: y, width: 64, height: 64) == whole.cropped(x: x, y: y, width: 64, height: 64))
        }
    }

    @Test func tissueIsTheNineFieldsOfConsep() throws {
        let slide = try Slide(file("consep/slides/consep-b.svs"))
        let mask = try TissueMask(slide: slide, scale: slide.scale())
        #expect(mask.areaSquareMillimeters > 1.7 && mask.areaSquareMillimeters < 2.5, "nine fields of 0.25 mm²")
        #expect(mask.tissueFraction(level0X: 200, level0Y: 200, width: 800, height: 800) > 0.7)
        #expect(mask.tissueFraction(level0X: 0, level0Y: 0, width: 60, height: 60) == 0)
    }

    @Test func aLargeHeatmapIsReadWhole() throws {
        let heatmap = try Heatmap(file("heatmaps/quip/prediction-TCGA-4H-AAAK-01Z-00-DX1.gz"))
        #expect(heatmap.regions.count == 145_452)
        #expect(heatmap.level0Side == 198)
        #expect(heatmap.regions[1].level0X == 51580 - 99)
    }

    @Test func wsinferTablesAreRead() throws {
        let heatmap = try Heatmap(file("heatmaps/wsinfer/purple.csv"))
        #expect(heatmap.level0Side == 200)
        #expect(heatmap.regions[1].level0Y == 200)
    }
}
