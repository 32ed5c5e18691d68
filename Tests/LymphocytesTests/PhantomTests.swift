import Foundation
import GraticuleTesting
import Raster
import Testing
import WholeSlide

@testable import Lymphocytes
@testable import Phantoms

struct PhantomTests {
    @Test func theSameSeedGivesTheSameSlideInBandsOfAnyHeight() {
        let renderer = PhantomRenderer(tissue: PhantomTissue(size: 600, seed: 4), seed: 4)
        let whole = renderer.band(y: 0, height: 300)
        let part = renderer.band(y: 130, height: 70)
        #expect(part.image == whole.image.cropped(x: 0, y: 130, width: 600, height: 70))
        #expect(part.lymphocytes == whole.lymphocytes.cropped(x: 0, y: 130, width: 600, height: 70))
        let other = PhantomRenderer(tissue: PhantomTissue(size: 600, seed: 5), seed: 5).band(y: 0, height: 300)
        #expect(other.image != whole.image)
    }

    @Test func theSlideHasScaleLevelsAndGlass() throws {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        #expect(slide.width == 800 && slide.levels.count == 2)
        #expect(try slide.scale() == SlideScale(micronsPerPixel: 0.5, source: .properties))
        let corner = try slide.read(level: 0, levelX: 0, levelY: 0, width: 8, height: 8)
        #expect(corner.pixels.allSatisfy { $0 > 235 }, "the corner is white")
    }

    @Test func theMaskCoversTheTrueLymphocytes() throws {
        let truth = try CellEvaluation.readTruth(
            PhantomFixture.folder.appendingPathComponent("truth/phantom-1.csv"), types: ["lymphocyte"])
        let mask = try PNG.readLargest(PhantomFixture.folder.appendingPathComponent("masks/phantom-1.png"))
        let points = try #require(truth["phantom-1"])
        #expect(points.count > 50)
        #expect(points.allSatisfy { mask[min(799, Int($0.x)), min(799, Int($0.y))] > 0 })
    }
}
