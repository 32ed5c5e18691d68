import Foundation
import Testing

@testable import ResultStore

@Suite struct CellStatisticsTests {
    /// 8 by 8 tiles of 100 px, all tissue.
    private func field() -> CellField {
        CellField(
            side: 100, seam: 5,
            tiles: Set((0..<8).flatMap { row in (0..<8).map { CellField.Tile(row: row, column: $0) } }))
    }

    /// A fixed sequence of numbers between 0 and 1.
    private struct Noise {
        var state: UInt64 = 7
        mutating func next() -> Double {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Double(state >> 11) / Double(1 << 53)
        }
    }

    @Test func cellsStrewnAtRandomHaveIndexAndSeamScoreOfOne() throws {
        var field = field()
        var noise = Noise()
        for _ in 0..<20_000 { field.add(x: 800 * noise.next(), y: 800 * noise.next()) }
        let found = field.statistics(tissue: 640_000)
        let index = try #require(found.nearestNeighborIndex)
        #expect(abs(index - 1) < 0.02)
        let (score, error) = (try #require(found.seamScore), try #require(found.seamScoreError))
        #expect(abs(score - 1) < 3 * error && error < 0.06)
    }

    @Test func aLatticeIsSpread() throws {
        var field = field()
        for y in 0..<40 { for x in 0..<40 { field.add(x: 20 * Double(x) + 10, y: 20 * Double(y) + 10) } }
        // Every neighbour is a lattice step away, twice what chance gives.
        #expect(abs(try #require(field.statistics(tissue: 640_000).nearestNeighborIndex) - 2) < 1e-6)
    }

    @Test func nearestDistancesAreExact() throws {
        var field = field()
        var noise = Noise(state: 3)
        var points: [(Double, Double)] = []
        for _ in 0..<300 {
            // Two clumps and some strays, a few of them alone in their tiles.
            let clump = noise.next()
            let (x, y) = (noise.next(), noise.next())
            points.append(
                clump < 0.45 ? (30 * x, 30 * y) : clump < 0.9 ? (395 + 30 * x, 395 + 30 * y) : (800 * x, 800 * y))
        }
        for point in points { field.add(x: point.0, y: point.1) }
        let mean =
            points.enumerated().reduce(0.0) { sum, a in
                sum
                    + points.enumerated().filter { $0.offset != a.offset }
                    .map { hypot($0.element.0 - a.element.0, $0.element.1 - a.element.1) }.reduce(100, min)
            } / 300
        let index = try #require(field.statistics(tissue: 640_000).nearestNeighborIndex)
        #expect(abs(index * 0.5 * (640_000.0 / 300).squareRoot() - mean) < 1e-4 * mean)
        #expect(index < 0.5, "clumps")
    }

    @Test func cellsMissingAtBordersShow() throws {
        var field = field()
        var noise = Noise()
        for _ in 0..<20_000 {
            let (x, y) = (800 * noise.next(), 800 * noise.next())
            let isAtBorder = [x, y].contains { abs(($0 / 100).rounded() * 100 - $0) < 5 }
            if !isAtBorder || noise.next() < 0.5 { field.add(x: x, y: y) }
        }
        let score = try #require(field.statistics(tissue: 640_000).seamScore)
        #expect(score > 0.4 && score < 0.6)
    }

    @Test func noCellsHaveNoStatistics() {
        #expect(field().statistics(tissue: 640_000) == CellStatistics())
    }
}
