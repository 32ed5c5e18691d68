import Foundation
import Raster
import ResultStore
import Testing

@testable import Lymphocytes
@testable import WholeSlide

struct CellOutlinerTests {
    /// The cells of a picture: its mask, and the haematoxylin OD of each pixel.
    private func cells(
        width: Int, height: Int, micronsPerPixel: Double = 0.5, isInside: (Int, Int) -> Bool,
        hematoxylin: (Int, Int) -> Double
    ) -> [CellRecord] {
        let outliner = CellOutliner(
            frame: WorkingFrame(
                micronsPerPixel: micronsPerPixel, level0PerPixel: 1, level0Width: 1000, level0Height: 1000))
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

    /// Twice as fine, the same tissue gives the same cells.
    @Test func cuttingDependsOnMicrometersNotOnPixels() throws {
        let found = cells(width: 80, height: 48, micronsPerPixel: 0.25) { x, y in
            (8..<68).contains(x) && (8..<36).contains(y)
        } hematoxylin: { x, _ in
            (34..<42).contains(x) ? 0.25 : 0.6
        }
        try #require(found.count == 2)
        #expect(abs(found[0].centroidX - 23) < 1.4, "\(found[0].centroidX)")
        let shallow = cells(width: 60, height: 40, micronsPerPixel: 0.25) { x, y in
            isInDisc(x, y, at: (20, 20), radius: 12) || isInDisc(x, y, at: (27, 20), radius: 12)
        } hematoxylin: { _, _ in
            0.5
        }
        #expect(shallow.count == 1, "a notch of a pixel or two is no neck")
    }

    /// What lies outside the outline has no stain that is known; were it taken for 0, a darker slide would be cut at shallower necks.
    @Test(arguments: [14.0, 16, 18, 20, 22]) func anEvenStainCutsNowhereElse(distance: Double) {
        func found(_ stain: Double) -> [Double] {
            cells(width: 48, height: 24) {
                isInDisc($0, $1, at: (12, 12), radius: 9) || isInDisc($0, $1, at: (12 + distance, 12), radius: 9)
            } hematoxylin: { _, _ in
                stain
            }
            .map(\.centroidX)
        }
        #expect(found(0.2) == found(2.2))
    }

    /// A pixel or two may fall below the threshold, and leave one nucleus with its whole area.
    @Test func aSmallHoleDoesNotCutItsNucleus() throws {
        let found = cells(width: 32, height: 22) { x, y in
            let (u, v) = ((Double(x) - 15.5) / 12, (Double(y) - 10.5) / 7)
            return u * u + v * v <= 1 && !((15...16).contains(x) && y == 10)
        } hematoxylin: { _, _ in
            0.6
        }
        try #require(found.count == 1)
        #expect(abs(found[0].areaSquareMicrons - .pi * 12 * 7 / 4) < 2)
        #expect(abs(found[0].meanHematoxylin - 0.6) < 1e-6, "holes count to the area, not to the means")
    }

    /// Nuclei of 3.5 µm that touch all around enclose a gap, which is none of theirs and no nucleus.
    @Test(arguments: [3, 4, 5, 12], [0.95, 0.98]) func aRosetteIsAsManyCells(count: Int, overlap: Double) {
        let (radius, side) = (7.0, 2 * 7.0 * overlap)
        let distance = side / 2 / sin(.pi / Double(count))
        let found = cells(width: 100, height: 100) { x, y in
            (0..<count).contains { i in
                let angle = 2 * .pi * Double(i) / Double(count) + 0.3
                return isInDisc(x, y, at: (50 + distance * cos(angle), 50 + distance * sin(angle)), radius: radius)
            }
        } hematoxylin: { _, _ in
            0.6
        }
        #expect(found.count == count, "\(found.map(\.areaSquareMicrons))")
        #expect(found.allSatisfy { $0.areaSquareMicrons < 1.1 * .pi * 3.5 * 3.5 })
    }

    /// A pale middle of up to 10 µm² is the cell's own, a lumen is not.
    @Test func aRingIsFilledOnlyWhereItIsANucleus() throws {
        func area(inner: Double, outer: Double) throws -> Double {
            let found = cells(width: 90, height: 90) {
                isInDisc($0, $1, at: (45, 45), radius: outer) && !isInDisc($0, $1, at: (45, 45), radius: inner)
            } hematoxylin: { _, _ in
                0.6
            }
            return found.reduce(0) { $0 + $1.areaSquareMicrons }
        }
        #expect(try abs(area(inner: 3.3, outer: 8) - .pi * 16) < 2.5, "8.6 µm² within")
        #expect(try area(inner: 4.2, outer: 9) < .pi * (20.25 - 4.41) + 1.5, "13.9 µm² within")
        #expect(try area(inner: 30, outer: 38) < .pi * (361 - 225) + 10)
    }

    /// A component that sprawls is cut into windows, and no cell of it is lost.
    @Test func aComponentThatSprawlsKeepsItsCells() {
        let (side, pitch) = (3040, 100)
        // A frame a pixel wide that joins discs at its corners and along its edges.
        let found = cells(width: side, height: side) { x, y in
            let onFrame =
                (x == 20 || x == side - 20 || y == 20 || y == side - 20) && (20...(side - 20)).contains(x)
                && (20...(side - 20)).contains(y)
            guard !onFrame else { return true }
            guard min(abs(x - 20), abs(x - side + 20), abs(y - 20), abs(y - side + 20)) <= 8 else { return false }
            let (u, v) = ((x - 20 + pitch / 2) / pitch * pitch + 20, (y - 20 + pitch / 2) / pitch * pitch + 20)
            return (x - u) * (x - u) + (y - v) * (y - v) <= 49
        } hematoxylin: { _, _ in
            0.6
        }
        let discs = found.filter { $0.areaSquareMicrons > 30 && $0.areaSquareMicrons < 60 }
        #expect(discs.count >= 110, "\(found.count) cells")
    }

    /// A run that was begun with other ways to make cells is not gone on with.
    @Test func howCellsAreMadeBelongsToARunsSettings() {
        var settings = SegmentationSettings()
        (settings.leastArea, settings.splitDepth) = (12, 0.4)
        #expect(settings.text.contains(CellOutliner.settings(leastArea: 12, splitDepth: 0.4)))
        #expect(CellOutliner.settings(splitDepth: 0.4) != CellOutliner.settings())
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
