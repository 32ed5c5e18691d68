import LabelSuperResolution
import Testing

@testable import Raster

struct ColorTests {
    @Test func stainsAreSeparatedAsTheyWereMixed() {
        let stains = ColorDeconvolution.hematoxylinEosin
        let (h, e): (Float, Float) = (0.6, 0.3)
        let pixel = (0..<3).map { channel -> UInt8 in
            let density = h * stains.stains[0][channel] + e * stains.stains[1][channel]
            return UInt8((256 * exp10(-density) - 1).rounded())
        }
        let found = stains.separated(RGBImage(width: 1, height: 1, pixels: pixel))
        #expect(abs(found.hematoxylin.values[0] - h) < 0.02)
        #expect(abs(found.eosin.values[0] - e) < 0.02)
    }

    @Test func restainingScalesTheStainsAndOneIsNoChange() {
        let stains = ColorDeconvolution.hematoxylinEosin
        let image = RGBImage(width: 2, height: 1, pixels: [120, 70, 150, 200, 130, 180])
        let same = stains.restained(image, factors: (1, 1), offsets: (0, 0))
        #expect(zip(same.pixels, image.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
        let before = stains.separated(image)
        let after = stains.separated(stains.restained(image, factors: (1.2, 0.8), offsets: (0.02, 0)))
        for i in 0..<2 {
            #expect(abs(after.hematoxylin.values[i] - (1.2 * before.hematoxylin.values[i] + 0.02)) < 0.02)
            #expect(abs(after.eosin.values[i] - 0.8 * before.eosin.values[i]) < 0.02)
        }
    }

    @Test func orientationsAreEightAndKeepEveryPixel() {
        let plane = Plane(width: 3, height: 3, values: Array(0..<9))
        #expect(Set(Orientation.all.map { plane.turned($0).values }).count == 8)
        let quarter = plane.turned(Orientation(quarterTurns: 1, isFlipped: false))
        #expect(quarter.values == [6, 3, 0, 7, 4, 1, 8, 5, 2], "clockwise")
    }

    private func exp10(_ x: Float) -> Float { Float(pow10(Double(x))) }

    private func pow10(_ x: Double) -> Double {
        // 10^x by repeated square roots, independent of the code under test.
        var (result, base, rest) = (1.0, 10.0, abs(x))
        for _ in 0..<60 {
            if rest >= 1 {
                result *= base
                rest -= 1
            }
            rest *= 2
            base = base.squareRoot()
        }
        return x < 0 ? 1 / result : result
    }
}
