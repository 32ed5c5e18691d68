import Foundation
import GraticuleTesting
import Raster
import ResultStore
import Testing
import WholeSlide

@testable import Lymphocytes

/// Slides of unusual shapes and kinds, from the file to the cells.
@Suite struct SlideShapeTests {
    /// Nuclei of 9 px radius on pale tissue.
    private func color(_ x: Int, _ y: Int, nuclei: [SIMD2<Int>]) -> UInt8 {
        nuclei.contains { ($0.x - x) * ($0.x - x) + ($0.y - y) * ($0.y - y) <= 81 } ? 40 : 225
    }

    private func isCentre(_ point: SIMD2<Double>, of nucleus: SIMD2<Int>) -> Bool {
        abs(point.x - Double(nucleus.x) - 0.5) < 1 && abs(point.y - Double(nucleus.y) - 0.5) < 1
    }

    private func cells(of slide: URL, in folder: URL, mpp: Double? = nil) throws -> [SIMD2<Double>] {
        var settings = SegmentationSettings()
        settings.tileSide = 128
        settings.tissue = .everywhere
        let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
        var segmenter = SlideSegmenter(
            model: try PhantomFixture.darknessModel(folder: folder), store: store, settings: settings)
        segmenter.threads = 2
        segmenter.givenScale = mpp
        let outcome = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
        #expect(outcome.unreadableTiles == 0)
        let run = try #require(try store.run(ofSlide: "slide", identity: nil, id: nil))
        return try store.centroids(run: run.id).map { SIMD2($0.x, $0.y) }
    }

    @Test(arguments: [
        (12_000, 40, [SIMD2(20, 20), SIMD2(6016, 21), SIMD2(11_980, 19)]),
        (40, 9000, [SIMD2(20, 30), SIMD2(19, 8970)]),
        (300, 200, [SIMD2(128, 128), SIMD2(255, 100)]), (25, 25, [SIMD2(12, 12)]), (17, 5, []), (1, 1, []),
    ]) func shapesOfEveryKindAreSegmented(width: Int, height: Int, nuclei: [SIMD2<Int>]) throws {
        try TestFolders.withTemporary { folder in
            let slide = folder.appendingPathComponent("slide.svs")
            try PyramidTIFF(width: width, height: height, micronsPerPixel: 0.5).write(to: slide, description: "shape") {
                top, rows in
                var band = RGBImage(width: width, height: rows)
                for y in 0..<rows {
                    for x in 0..<width {
                        let value = color(x, top + y, nuclei: nuclei)
                        band[x, y] = (value, value, value)
                    }
                }
                return band
            }
            let found = try cells(of: slide, in: folder).sorted { ($0.y, $0.x) < ($1.y, $1.x) }
            #expect(found.count == nuclei.count)
            for nucleus in nuclei { #expect(found.contains { isCentre($0, of: nucleus) }) }
        }
    }

    @Test func aGrayscaleSlideIsSegmented() throws {
        try TestFolders.withTemporary { folder in
            let slide = folder.appendingPathComponent("slide.tif")
            let (width, height) = (700, 300)
            let nuclei = [SIMD2(100, 100), SIMD2(512, 256), SIMD2(650, 40)]
            let file = try GrayPyramidTIFF(
                slide, width: width, height: height, micronsPerPixel: 0.5, name: "gray", reduction: .mean)
            let values = (0..<(width * height)).map { color($0 % width, $0 / width, nuclei: nuclei) }
            try values.withUnsafeBufferPointer { try file.append($0) }
            try file.finish()
            let found = try cells(of: slide, in: folder, mpp: 0.5)
            #expect(found.count == 3)
            for nucleus in nuclei { #expect(found.contains { isCentre($0, of: nucleus) }) }
        }
    }

    /// Two scanners' JPEG 2000: one with a scale, one without.
    @Test(
        .enabled(if: TestFolders.shared != nil, "needs ../shared/data"),
        arguments: [("monusac/A9K0_1.svs", nil), ("wsi/tcga-cr-7395-01a-01-ts1.svs", 1.0)])
    func jpeg2000IsRead(path: String, mpp: Double?) throws {
        let file = try #require(TestFolders.shared).appendingPathComponent(path)
        try TestFolders.withTemporary { folder in
            let slide = folder.appendingPathComponent("slide.svs")
            try FileManager.default.createSymbolicLink(at: slide, withDestinationURL: file)
            #expect(try cells(of: slide, in: folder, mpp: mpp).count > 20)
        }
    }
}
