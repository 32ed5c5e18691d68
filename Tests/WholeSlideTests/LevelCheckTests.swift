import Failures
import Foundation
import GraticuleTesting
import Raster
import Testing

@testable import WholeSlide

struct LevelCheckTests {
    /// A picture with contrast everywhere, as a function of level-0 places.
    private func picture(_ width: Int, _ height: Int, scale: Double, shift: Double = 0) -> RGBImage {
        var image = RGBImage(width: width, height: height)
        for y in 0..<height {
            for x in 0..<width {
                let (u, v) = ((Double(x) + 0.5) * scale + shift, (Double(y) + 0.5) * scale)
                let value = UInt8(max(0, min(255, 128 + 60 * sin(u / 37) + 60 * cos(v / 23))))
                image[x, y] = (value, value, value)
            }
        }
        return image
    }

    private func result(_ levels: [Slide.Level], images: [RGBImage]) throws -> (
        levels: [Slide.Level], leftOut: [String]
    ) {
        try LevelCheck(url: URL(fileURLWithPath: "/nowhere.tif"), levels: levels) { level, x, y, width, height in
            let image = images[Int(level.number)]
            let (x, y) = (max(0, min(image.width - width, x)), max(0, min(image.height - height, y)))
            return image.cropped(x: x, y: y, width: width, height: height)
        }.result()
    }

    @Test func levelsThatAgreeAreKept() throws {
        let levels = [
            Slide.Level(width: 1000, height: 800, downsample: 1, number: 0),
            Slide.Level(width: 250, height: 200, downsample: 4, number: 1),
            // Rounded down twice.
            Slide.Level(width: 62, height: 49, downsample: 16.2, number: 2),
        ]
        let images = [picture(1000, 800, scale: 1), picture(250, 200, scale: 4), picture(62, 49, scale: 16.2)]
        let found = try result(levels, images: images)
        #expect(found.levels == levels && found.leftOut.isEmpty)
    }

    @Test func aLevelOfAnotherShapeOrPictureIsLeftOutAndNamed() throws {
        let base = Slide.Level(width: 1000, height: 800, downsample: 1, number: 0)
        let flat = Slide.Level(width: 250, height: 100, downsample: 6, number: 1)
        let wrong = Slide.Level(width: 250, height: 200, downsample: 4, number: 2)
        let images = [
            picture(1000, 800, scale: 1), picture(250, 100, scale: 4), picture(250, 200, scale: 4, shift: 116),
        ]
        let found = try result([base, flat, wrong], images: images)
        #expect(found.levels == [base])
        #expect(
            found.leftOut == [
                "level 1 of 250×100 px does not have the shape of the slide",
                "level 2 of 250×200 px shows something else than the full resolution",
            ])
    }

    /// What is blank or brighter in a part only would cost cells in silence.
    @Test func aLevelThatIsBlankInPartOrBrighterIsLeftOut() throws {
        let base = Slide.Level(width: 1000, height: 800, downsample: 1, number: 0)
        let level = Slide.Level(width: 250, height: 200, downsample: 4, number: 1)
        let whole = picture(250, 200, scale: 4)
        var blank = whole
        for y in 100..<200 { for x in 0..<250 { blank[x, y] = (245, 245, 245) } }
        var bright = whole
        bright.pixels = whole.pixels.map { UInt8(min(255, Int($0) + 40)) }
        for wrong in [blank, bright] {
            let found = try result([base, level], images: [picture(1000, 800, scale: 1), wrong])
            #expect(found.levels == [base])
            #expect(found.leftOut == ["level 1 of 250×200 px shows something else than the full resolution"])
        }
    }

    @Test(.enabled(if: TestFolders.shared != nil, "needs ../shared/data"))
    func realPyramidsKeepTheirLevels() throws {
        let data = try #require(TestFolders.shared)
        for (path, count) in [
            ("consep/slides/consep-a.svs", 3), ("wsi/tcga-cr-7395-01a-01-ts1.svs", 2),
            ("wsi/CMU-1-Small-Region.svs", 1),
            ("wsi/tiny-16x16.svs", 1), ("monusac-test/slides/monusac-k.svs", 3),
        ] {
            let slide = try Slide(data.appendingPathComponent(path))
            #expect(slide.levels.count == count && slide.leftOutLevels.isEmpty, "\(path): \(slide.leftOutLevels)")
        }
    }

    @Test(.enabled(if: TestFolders.shared != nil && Slide.libraryVersion.hasPrefix("3."), "needs ../shared/data"))
    func losslessLevelsSmallerThanTheirTileAreNotRead() throws {
        let data = try #require(TestFolders.shared)
        // Its two small levels are lossless, in tiles of 64 px.
        let boxes = try Slide(data.appendingPathComponent("wsi/boxes.tiff"))
        #expect(boxes.levels.count == 2 && boxes.leftOutLevels.count == 2)
        let small = data.appendingPathComponent("cases/small-level.tif")
        let error = try #require(throws: SlideError.self) { try Slide(small) }
        #expect(
            error.message == "cannot use slide \(small.path): its 200×200 px are fewer than one of its lossless tiles, "
                + "which OpenSlide \(Slide.libraryVersion) reads as random pixels: save it with smaller tiles or as JPEG"
        )
    }
}
