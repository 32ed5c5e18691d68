import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Testing

@testable import Raster

struct ImageFileTests {
    private func picture(_ width: Int, _ height: Int) -> RGBImage {
        var image = RGBImage(width: width, height: height)
        for y in 0..<height {
            for x in 0..<width { image[x, y] = (UInt8(x % 256), UInt8(y % 256), UInt8((x / 8 + y / 8) % 2 * 200)) }
        }
        return image
    }

    @Test func pngIsReadBackAndLeavesNoTemporaryFile() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("a.png")
            try PNG.write(picture(31, 17), to: file)
            #expect(try PNG.readRGB(file) == picture(31, 17))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.png"])
        }
    }

    @Test func brokenImagesAreErrors() throws {
        try TestFolders.withTemporary { folder in
            for name in ["a.png", "a.jpg"] {
                let file = folder.appendingPathComponent(name)
                for bytes in [Data(), Data("no image".utf8), Data([0xff, 0xd8, 0xff, 0xe0])] {
                    try bytes.write(to: file)
                    #expect(throws: RasterError.self) {
                        _ = name == "a.png" ? try PNG.readRGB(file) : try JPEG.readRGB(file)
                    }
                }
            }
            #expect(throws: RasterError.self) {
                try PNG.write(picture(2, 2), to: URL(fileURLWithPath: "/nowhere/a.png"))
            }
        }
    }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func openSlidePythonAndTifffileReadOurPyramids() throws {
        let python = try #require(Subprocess.peersPython)
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("p.svs")
            let (width, height) = (700, 530)
            let whole = picture(width, height)
            try PyramidTIFF(width: width, height: height, micronsPerPixel: 0.25).write(
                to: file, description: "test", quality: 95
            ) { y, rows in whole.cropped(x: 0, y: y, width: width, height: rows) }
            let script = """
                import sys, openslide, tifffile
                s = openslide.OpenSlide(sys.argv[1])
                p = s.read_region((300, 200), 0, (1, 1)).getpixel((0, 0))
                t = tifffile.TiffFile(sys.argv[1])
                print(s.level_dimensions, s.properties['openslide.mpp-x'], s.properties['openslide.objective-power'],
                      abs(p[0] - 44) < 12 and abs(p[1] - 200) < 12, [q.shape for q in t.pages], t.pages[0].is_tiled)
                """
            let outcome = try Subprocess.run(python, ["-c", script, file.path])
            #expect(
                outcome.output
                    == "((700, 530), (175, 132)) 0.25 40 True [(530, 700, 3), (132, 175, 3)] True\n",
                "\(outcome.errors)")
        }
    }
}
