import LabelSuperResolution
import Testing

@testable import Raster

struct AreaResamplingTests {
    private func noise(_ width: Int, _ height: Int) -> RGBImage {
        var generator = SeededGenerator(seed: 5)
        return RGBImage(
            width: width, height: height,
            pixels: (0..<(3 * width * height)).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    @Test func averagesWholeSquares() {
        let image = RGBImage(width: 2, height: 2, pixels: [0, 0, 0, 100, 0, 0, 100, 0, 0, 200, 40, 0])
        let one = AreaResampling(scale: 2).resampled(image, x: 0, y: 0, width: 1, height: 1)
        #expect(one.pixels == [100, 10, 0])
    }

    @Test(arguments: [1.0, 2.0, 1.98, 2.571, 4.0, 0.5]) func aPixelDoesNotDependOnTheTileItIsReadIn(scale: Double) {
        let resampling = AreaResampling(scale: scale)
        let fine = noise(160, 160)
        func part(_ x: Int, _ y: Int, _ side: Int) -> RGBImage {
            let columns = resampling.finePixels(start: x, count: side)
            let rows = resampling.finePixels(start: y, count: side)
            return resampling.resampled(
                fine.cropped(x: columns.lowerBound, y: rows.lowerBound, width: columns.count, height: rows.count), x: x,
                y: y, width: side, height: side)
        }
        let whole = part(0, 0, 36)
        #expect(part(7, 11, 20) == whole.cropped(x: 7, y: 11, width: 20, height: 20))
    }
}
