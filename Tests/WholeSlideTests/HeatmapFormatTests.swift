import Failures
import Foundation
import GraticuleTesting
import Raster
import Testing

@testable import WholeSlide

/// The same four regions in every format that is read.
struct HeatmapFormatTests {
    /// Two by two regions of 200 px at 0.25 µm.
    private let extent = Heatmap.Extent(width: 400, height: 400, micronsPerPixel: 0.25)
    private let probabilities = [0.2, 0.4, 0.6, 1.0]

    private func read(_ data: Data, _ name: String) throws -> Heatmap {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent(name)
            try data.write(to: file)
            return try Heatmap(file, extent: extent)
        }
    }

    private func check(_ heatmap: Heatmap, tolerance: Double = 1e-9) {
        #expect(heatmap.level0Side == 200)
        #expect(heatmap.regions.map(\.level0X) == [0, 200, 0, 200])
        #expect(heatmap.regions.map(\.level0Y) == [0, 0, 200, 200])
        for (region, wanted) in zip(heatmap.regions, probabilities) {
            #expect(abs(region.probability - wanted) <= tolerance)
        }
    }

    @Test func png() throws {
        try TestFolders.withTemporary { folder in
            var image = RGBImage(width: 2, height: 2)
            for i in 0..<4 { image[i % 2, i / 2] = (UInt8(probabilities[i] * 255), 0, 255) }
            let file = folder.appendingPathComponent("a.png")
            try PNG.write(image, to: file)
            check(try Heatmap(file, extent: extent), tolerance: 1 / 255.0)
            image[1, 0] = (200, 0, 0)
            try PNG.write(image, to: file)
            #expect(try Heatmap(file, extent: extent).regions.count == 3, "no tissue, no label")
            #expect(throws: SlideError.self) { try Heatmap(file) }
        }
    }

    /// Grey has no channels of necrosis and tissue: dense regions are not necrotic, and a probability of 0 is a region too.
    @Test func greyPictures() throws {
        try TestFolders.withTemporary { folder in
            var image = RGBImage(width: 2, height: 2)
            let values: [UInt8] = [0, 51, 153, 255]
            for i in 0..<4 { image[i % 2, i / 2] = (values[i], values[i], values[i]) }
            let file = folder.appendingPathComponent("a.png")
            try PNG.write(image, to: file)
            let heatmap = try Heatmap(file, extent: extent)
            #expect(heatmap.regions.map(\.probability) == [0, 0.2, 0.6, 1])
            #expect(heatmap.regions.allSatisfy { $0.necrosis == 0 })
            try PNG.write(RGBImage(width: 2, height: 2, pixels: [UInt8](repeating: 0, count: 12)), to: file)
            let error = try #require(throws: SlideError.self) { try Heatmap(file, extent: extent) }
            #expect(error.message == "heatmap \(file.path) has no region with tissue")
        }
    }

    @Test func caMicroscope() throws {
        let rows = (0..<4).map { "[\(0.5 * Double($0 % 2)),\(0.5 * Double($0 / 2)),0.9,\(probabilities[$0])]" }
        let text = """
            {"provenance":{"image":{"slide":"a"},"analysis":{"fields":[{"name":"necrosis"},{"name":"lymphocyte"}],\
            "size":[0.5,0.5]}},"data":[\(rows.joined(separator: ","))]}
            """
        check(try read(Data(text.utf8), "a.json"))
        let lines = (0..<4).map { i in
            let (x, y) = (0.5 * Double(i % 2), 0.5 * Double(i / 2))
            return """
                {"bbox":[\(x),\(y),\(x + 0.5),\(y + 0.5)],"properties":{"multiheat_param":{"heatname_array":["lym","necrosis"],\
                "metric_array":[\(probabilities[i]),"0.1"]}}}
                """
        }
        check(try read(Data(lines.joined(separator: "\n").utf8), "b.json"))
    }

    @Test func featureMap() throws {
        let values = probabilities.map { String($0 * 255) }.joined(separator: ",")
        func text(width: Int) -> Data {
            Data(
                """
                {"metadata":{"img_width":\(width),"img_height":400,"png_w":2,"png_h":2,"patch_w":200,"patch_h":200},
                "data":{"locations":{"i":[0,1,0,1],"j":[0,0,1,1]},"features":{"TIL":[\(values)],"Tissue":[255,255,255,255]}}}
                """.utf8)
        }
        check(try read(text(width: 400), "a.json"))
        let error = try #require(throws: SlideError.self) { try read(text(width: 800), "a.json") }
        #expect(error.message.contains("800×400") && error.message.contains("400×400"), "\(error)")
    }

    @Test(arguments: [
        "{", "{}", "{\"metadata\":{},\"data\":3}",
        "{\"provenance\":{\"analysis\":{\"size\":[0.5,0.5]}},\"data\":[[0,0]]}",
        "{\"provenance\":{\"analysis\":{\"size\":[0.5,0.1]}},\"data\":[[0,0,0.5]]}",
        "{\"provenance\":{\"analysis\":{\"size\":[0.5,0.5]}},\"data\":[[0,7,0.5]]}",
        "{\"provenance\":{\"analysis\":{\"size\":[0.5,0.5]}},\"data\":[[0,0,1.5]]}",
        "{\"properties\":{}}\nnonsense", "\u{89}PNG",
    ]) func nonsenseIsOneSentence(text: String) {
        #expect(throws: SlideError.self) { try read(Data(text.utf8), "a.json") }
    }

    @Test func blankRegionsOfTheColoursAreLeftOut() throws {
        try TestFolders.withTemporary { folder in
            let heatmap = folder.appendingPathComponent("prediction-a")
            try Data("100 100 0.2 0\n300 100 0.4 0\n100 300 0.6 0\n300 300 1 0\n".utf8).write(to: heatmap)
            let colors = folder.appendingPathComponent("color-a")
            try Data("100 100 50 0 0\n300 100 3.5 0 0\n100 300 12 1 1\n300 300 11.9 0 0\n".utf8).write(to: colors)
            #expect(try Heatmap(heatmap).withoutBlanks(colors).regions.map(\.probability) == [0.2, 0.6])
            #expect(try FilePairing(SlideFile(folder.appendingPathComponent("a.svs")), in: folder).colors() != nil)
        }
    }

    @Test func anOffsetOfHalfARegionIsNamed() throws {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        let text = (0..<16).map { "\(100 * ($0 % 4)) \(100 * ($0 / 4)) 0.5 0" }.joined(separator: "\n")
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("prediction-phantom-1")
            try Data(text.utf8).write(to: file)
            let error = try #require(throws: SlideError.self) {
                try Heatmap.ofSlide(slide, scale: slide.scale(), in: folder)
            }
            #expect(error.message.contains("100.0 px") && error.message.contains("50.0"), "\(error)")
        }
    }

    @Test func writtenAsQuipItIsTheSame() throws {
        let heatmap = Heatmap(
            url: URL(fileURLWithPath: "/a"),
            regions: (0..<4).map {
                Heatmap.Region(
                    level0X: 200 * Double($0 % 2), level0Y: 200 * Double($0 / 2), probability: probabilities[$0],
                    necrosis: 0.5)
            }, level0Side: 200)
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("prediction-a.gz")
            try heatmap.writeQuip(to: file)
            #expect(try Heatmap(file).regions == heatmap.regions)
        }
    }

    static let data = TestFolders.root.appendingPathComponent("../shared/data/heatmaps")

    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: data.path), "needs ../shared/data"),
        arguments: [
            ("png/TCGA-MP-A4T9-01Z-00-DX1.png", 492 * 200 - 40, 305 * 200 - 90, 0.25),
            ("featuremap/TCGA-AC-A3W5-01Z-00-DX1_07-08-2019.json", 31872, 13347, 0.2465),
        ]
    ) func realFilesAreRead(path: String, width: Int, height: Int, mpp: Double) throws {
        let heatmap = try Heatmap(
            HeatmapFormatTests.data.appendingPathComponent(path),
            extent: Heatmap.Extent(width: width, height: height, micronsPerPixel: mpp))
        #expect(heatmap.regions.count > 1000)
        #expect(abs(heatmap.level0Side * mpp - 50) < 0.2)
        #expect(Set(heatmap.regions.map(\.probability)).count > 50)
    }
}
