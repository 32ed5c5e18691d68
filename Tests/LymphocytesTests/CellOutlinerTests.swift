import Raster
import ResultStore
import Testing

@testable import Lymphocytes
@testable import WholeSlide

struct CellOutlinerTests {
    private let outliner = CellOutliner(
        frame: WorkingFrame(micronsPerPixel: 0.5, level0PerPixel: 1, level0Width: 1000, level0Height: 1000))

    /// The cells of a picture: its mask, and the haematoxylin OD of each pixel.
    private func cells(
        width: Int, height: Int, isInside: (Int, Int) -> Bool, hematoxylin: (Int, Int) -> Double
    ) -> [CellRecord] {
        var runs = PixelRuns(x: 0)
        for y in 0..<height {
            let row = (0..<width).map { isInside($0, y) ? UInt8(200) : 0 }
            row.withUnsafeBufferPointer { row in
                runs.appendRow(first: row, threshold: 100) { UInt8(hematoxylin($0, y) * 100) }
            }
        }
        var components = StreamingComponents()
        let closed = (0..<height).flatMap { components.append([runs], row: $0) } + components.finish()
        return closed.flatMap(outliner.cells).sorted { $0.centroidX < $1.centroidX }
    }

    private func isInDisc(_ x: Int, _ y: Int, at center: (Double, Double), radius: Double) -> Bool {
        let (dx, dy) = (Double(x) + 0.5 - center.0, Double(y) + 0.5 - center.1)
        return dx * dx + dy * dy <= radius * radius
    }

    @Test func nucleiThatTouchAreCutAtTheNeck() throws {
        let found = cells(width: 40, height: 24) {
            isInDisc($0, $1, at: (12, 12), radius: 8) || isInDisc($0, $1, at: (26, 12), radius: 8)
        } hematoxylin: { _, _ in
            0.5
        }
        try #require(found.count == 2)
        #expect(abs(found[0].centroidX - 12) < 0.7, "\(found[0].centroidX)")
        #expect(abs(found[1].centroidX - 26) < 0.7, "\(found[1].centroidX)")
    }

    /// Their common outline has no neck; only a light gap in the haematoxylin tells that they are two.
    @Test func nucleiInOneOutlineAreCutAtTheLightGap() throws {
        func isInside(_ x: Int, _ y: Int) -> Bool { (4..<34).contains(x) && (4..<18).contains(y) }
        let gap = cells(width: 40, height: 24, isInside: isInside) { x, _ in (17..<21).contains(x) ? 0.25 : 0.6 }
        try #require(gap.count == 2)
        #expect(abs(gap[0].centroidX - 11.5) < 0.7, "\(gap[0].centroidX)")
        #expect(abs(gap[1].centroidX - 26.5) < 0.7, "\(gap[1].centroidX)")
        let even = cells(width: 40, height: 24, isInside: isInside) { _, _ in 0.6 }
        #expect(even.count == 1)
    }

    /// A nucleus is not cut because its chromatin is grainy.
    @Test func grainsDoNotCutANucleus() {
        let found = cells(width: 24, height: 24) {
            isInDisc($0, $1, at: (12, 12), radius: 8)
        } hematoxylin: {
            ($0 * 7 + $1 * 13) % 5 == 0 ? 0.45 : 0.6
        }
        #expect(found.count == 1)
    }
}
