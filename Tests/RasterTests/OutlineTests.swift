import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Testing

@testable import Raster

struct OutlineTests {
    /// A random, simply connected blob.
    private func blob(seed: UInt64) -> Plane<Bool> {
        var generator = SeededGenerator(seed: seed)
        let waves = (1...4).map { _ in generator.nextGaussian() * 0.12 }
        var plane = Plane(width: 40, height: 40, repeating: false)
        for y in 0..<40 {
            for x in 0..<40 {
                let (dx, dy) = (Double(x) - 19.5, Double(y) - 19.5)
                let angle = atan2(dy, dx)
                let edge =
                    12 * (1 + waves.enumerated().reduce(0) { $0 + $1.element * cos(Double($1.offset + 1) * angle) })
                plane[x, y] = hypot(dx, dy) < edge
            }
        }
        return plane.largestComponent().withoutHoles()
    }

    @Test(arguments: 1...6) func areaIsThatOfThePixelsLessHalfAPixel(seed: Int) throws {
        let plane = blob(seed: UInt64(seed))
        let outline = try #require(plane.outline())
        #expect(abs(outline.area - (Double(plane.values.filter { $0 }.count) - 0.5)) < 1e-9)
    }

    @Test func aSinglePixelAndADiagonalAreOutlined() throws {
        let pixel = Plane(width: 1, height: 1, values: [true])
        #expect(try #require(pixel.outline()).area == 0.5)
        let diagonal = Plane(width: 2, height: 2, values: [true, false, false, true])
        #expect(try #require(diagonal.outline()).area == 0.5, "4-connected: only the first pixel")
    }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func shapelyReadsOurPolygonsAndPycocotoolsOurMasks() throws {
        let python = try #require(Subprocess.peersPython)
        let plane = blob(seed: 11)
        let polygon = try #require(plane.outline()).placed(scale: 2, offsetX: 100, offsetY: 50)
        let script = """
            import sys, shapely
            from pycocotools import mask
            p = shapely.from_wkb(bytes.fromhex(sys.argv[1]))
            m = mask.decode({'size': [40, 40], 'counts': bytes.fromhex(sys.argv[2])})
            print(p.is_valid, p.area, p.length, ''.join(map(str, m.flatten().tolist())))
            """
        func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }
        let outcome = try Subprocess.run(
            python, ["-c", script, hex(polygon.wellKnownBinary), hex(RunLengthMask(plane).compressed)])
        let fields = outcome.output.split(whereSeparator: \.isWhitespace).map(String.init)
        try #require(fields.count == 4, "\(outcome.errors)")
        #expect(fields[0] == "True")
        #expect(abs((Double(fields[1]) ?? 0) - polygon.area) < 1e-6)
        #expect(abs((Double(fields[2]) ?? 0) - polygon.perimeter) < 1e-6)
        #expect(fields[3] == plane.values.map { $0 ? "1" : "0" }.joined())
    }

    @Test(arguments: 1...4) func runLengthsAreReadBack(seed: Int) throws {
        let mask = RunLengthMask(blob(seed: UInt64(seed)))
        #expect(try RunLengthMask(width: 40, height: 40, compressed: mask.compressed) == mask)
        #expect(mask.mask == blob(seed: UInt64(seed)))
        #expect(throws: RasterError.self) {
            try RunLengthMask(width: 40, height: 39, compressed: mask.compressed)
        }
    }
}
