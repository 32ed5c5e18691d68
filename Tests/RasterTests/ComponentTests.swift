import Failures
import Foundation
import LabelSuperResolution
import Testing

@testable import Raster

struct ComponentTests {
    /// Blobs and dust: components of every shape, many of which merge late.
    private func mask(width: Int, height: Int, seed: UInt64) -> Plane<UInt8> {
        var generator = SeededGenerator(seed: seed)
        return Plane(
            width: width, height: height,
            values: (0..<(width * height)).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    private let threshold: UInt8 = 110

    /// The rows of a plane as runs of rectangles side by side; the second value is the first with all bits turned.
    private func runs(_ plane: Plane<UInt8>, borders: [Int]) -> [PixelRuns] {
        zip([0] + borders, borders + [plane.width]).map { left, right in
            var part = PixelRuns(x: left)
            for y in 0..<plane.height {
                plane.values.withUnsafeBufferPointer { values in
                    let row = UnsafeBufferPointer(
                        rebasing: values[(y * plane.width + left)..<(y * plane.width + right)])
                    part.appendRow(first: row, threshold: threshold) { row[$0] ^ 0xff }
                }
            }
            return part
        }
    }

    private func stream(
        _ plane: Plane<UInt8>, borders: [Int] = [], interruptAt rows: Set<Int> = []
    ) throws -> [PixelComponent] {
        var components = StreamingComponents()
        var closed: [PixelComponent] = []
        let parts = runs(plane, borders: borders)
        for y in 0..<plane.height {
            if rows.contains(y) { components = try StreamingComponents(frontierData: components.frontierData) }
            closed += components.append(parts, row: y)
        }
        return closed + components.finish()
    }

    private func pixels(_ component: PixelComponent, width: Int) -> Set<Int> {
        Set(component.runs.flatMap { run in run.columns.map { Int(run.row) * width + Int($0) } })
    }

    /// The components found by flood fill over the whole mask.
    private func flood(_ plane: Plane<UInt8>) -> Set<Set<Int>> {
        var seen = Set<Int>()
        var result = Set<Set<Int>>()
        for start in plane.values.indices where plane.values[start] >= threshold && !seen.contains(start) {
            var component: Set<Int> = [start]
            var stack = [start]
            while let i = stack.popLast() {
                let (x, y) = (i % plane.width, i / plane.width)
                for (nx, ny) in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
                where nx >= 0 && ny >= 0 && nx < plane.width && ny < plane.height {
                    let j = ny * plane.width + nx
                    if plane.values[j] >= threshold, component.insert(j).inserted { stack.append(j) }
                }
            }
            seen.formUnion(component)
            result.insert(component)
        }
        return result
    }

    @Test(arguments: 1...8) func streamedComponentsEqualThoseOfTheWholeMask(seed: Int) throws {
        let plane = mask(width: 37, height: 41, seed: UInt64(seed))
        let found = try stream(plane)
        // A border between tiles cuts nothing, be it in a run or between two.
        for borders in [[16], [1, 2, 30]] {
            let parts = try stream(plane, borders: borders)
            #expect(Set(parts.map { pixels($0, width: 37) }) == flood(plane))
        }
        #expect(Set(found.map { pixels($0, width: 37) }) == flood(plane))
        for component in found {
            for run in component.runs {
                var offset = Int(run.offset)
                for x in run.columns {
                    #expect(component.values[offset] == plane[Int(x), Int(run.row)])
                    #expect(component.values[offset + 1] == plane[Int(x), Int(run.row)] ^ 0xff)
                    offset += 2
                }
            }
        }
    }

    @Test(arguments: 1...4) func aProgressMarkChangesNothing(seed: Int) throws {
        let plane = mask(width: 37, height: 41, seed: UInt64(seed))
        let whole = try stream(plane)
        let parts = try stream(plane, interruptAt: [1, 7, 8, 20, 40])
        #expect(whole.map { pixels($0, width: 37) } == parts.map { pixels($0, width: 37) })
    }

    /// A sheet of more than a mm² without a gap, beside one small square that must still come out.
    @Test func aComponentWithoutEndIsDroppedAndTakesNoMemory() throws {
        let width = 2100
        var components = StreamingComponents()
        var closed: [PixelComponent] = []
        var sheet = [UInt8](repeating: 200, count: width)
        for x in (width - 12)..<width { sheet[x] = 0 }
        var withSquare = sheet
        for x in (width - 8)..<(width - 2) { withSquare[x] = 200 }
        let sheetRuns = runs(Plane(width: width, height: 1, values: sheet), borders: [])
        let squareRuns = runs(Plane(width: width, height: 1, values: withSquare), borders: [])
        for y in 0..<2050 {
            if y == 2010 {
                #expect(components.frontierData.count < 1000, "nothing of the sheet is kept")
                components = try StreamingComponents(frontierData: components.frontierData)
            }
            closed += components.append(y < 6 ? squareRuns : sheetRuns, row: 0)
        }
        closed += components.finish()
        #expect(closed.map(\.pixelCount) == [36])
        #expect(components.oversizedCount == 1)
    }

    /// Every pixel is in one window, with its values, and no window is larger than it may be.
    @Test(arguments: 1...3) func windowsShareOutAComponent(seed: Int) throws {
        let plane = mask(width: 37, height: 41, seed: UInt64(seed))
        for component in try stream(plane) {
            let windows = component.windows(side: 8)
            #expect(windows.map { pixels($0, width: 37) }.joined().sorted() == pixels(component, width: 37).sorted())
            for window in windows {
                for run in window.runs {
                    for (index, x) in run.columns.enumerated() {
                        let first = Int(run.offset) + 2 * index
                        #expect(window.values[first] == plane[Int(x), Int(run.row)])
                        #expect(window.values[first + 1] == plane[Int(x), Int(run.row)] ^ 0xff)
                    }
                }
                let (columns, rows) = window.bounds
                #expect(columns.lowerBound / 8 == (columns.upperBound - 1) / 8)
                #expect(rows.lowerBound / 8 == (rows.upperBound - 1) / 8)
            }
        }
    }

    @Test func aProgressMarkCutOffIsRefused() throws {
        var components = StreamingComponents()
        let row = [UInt8](repeating: 200, count: 9)
        _ = components.append(runs(Plane(width: 9, height: 1, values: row), borders: []), row: 0)
        let data = components.frontierData
        for length in 0..<data.count {
            #expect(throws: RasterError.self) { try StreamingComponents(frontierData: data.prefix(length)) }
        }
    }

    @Test func touchingDiscsAreCutAndOneDiscIsNot() {
        func discs(_ centres: [(Double, Double)]) -> Plane<Bool> {
            var plane = Plane(width: 60, height: 40, repeating: false)
            for y in 0..<40 {
                for x in 0..<60 {
                    plane[x, y] = centres.contains { hypot(Double(x) - $0.0, Double(y) - $0.1) <= 8 }
                }
            }
            return plane
        }
        for (centres, wanted) in [([(20.0, 20.0)], 1), ([(18.0, 20.0), (31.0, 20.0)], 2)] {
            let plane = discs(centres)
            let (labels, count) = Watershed.catchments(
                of: plane.distanceToBackground().blurred(sigma: 1), in: plane, dynamics: 0.6)
            #expect(count == wanted)
            #expect(zip(labels.values, plane.values).allSatisfy { ($0 > 0) == $1 })
        }
    }

    /// A pixel beside two catchments belongs to the one to which it rises more steeply, not to the higher one.
    @Test func pixelsJoinTheSteepestNeighbour() {
        // Two summits of 10 and 6. The fourth column is the pass; above and below it the ground rises to the right only.
        let rows: [[Float]] = [
            [8, 7, 4, 3.5, 5, 5.5, 4],
            [9, 10, 5, 2, 5, 6, 5],
            [8, 7, 4, 3.5, 5, 5.5, 4],
        ]
        let elevation = Plane(width: 7, height: 3, values: rows.flatMap(\.self))
        let mask = Plane(width: 7, height: 3, repeating: true)
        let (labels, count) = Watershed.catchments(of: elevation, in: mask, dynamics: 1)
        #expect(count == 2)
        let right = labels[5, 1]
        #expect(labels[3, 0] == right && labels[3, 2] == right, "they rise by 1.5 to the right, by 0.5 to the left")
        #expect(labels[2, 1] == labels[1, 1] && labels[4, 1] == right)
        // A diagonal is longer: 2 up over √2 is less steep than 1.5 up over 1.
        let corner = Plane<Float>(width: 3, height: 2, values: [6, 0, 0, 0, 4, 5.5])
        let ground = Plane(width: 3, height: 2, values: [true, false, false, false, true, true])
        let (corners, _) = Watershed.catchments(of: corner, in: ground, dynamics: 1)
        #expect(corners[1, 1] == corners[2, 1] && corners[1, 1] != corners[0, 0])
    }

    @Test func distancesAreExact() {
        let plane = mask(width: 23, height: 19, seed: 3).map { $0 > 60 }
        let found = plane.distanceToBackground()
        for y in 0..<19 {
            for x in 0..<23 {
                var nearest = Float.infinity
                for v in -1...19 {
                    for u in -1...23 where u < 0 || v < 0 || u == 23 || v == 19 || !plane[u, v] {
                        nearest = min(nearest, Float((u - x) * (u - x) + (v - y) * (v - y)))
                    }
                }
                #expect(abs(found[x, y] - nearest.squareRoot()) < 1e-3)
            }
        }
    }

    @Test func holesAreFilledAndTheLargestPartIsKept() {
        let ring = Plane(width: 5, height: 4, values: "####.#..#.####......#".map { $0 == "#" }.dropLast())
        #expect(ring.withoutHoles().values.filter { $0 }.count == 12)
        #expect(ring.withoutHoles(ofAtMost: 2).values.filter { $0 }.count == 12)
        #expect(ring.withoutHoles(ofAtMost: 1) == ring)
        let parts = Plane(width: 4, height: 2, values: [true, false, true, true, false, false, true, true])
        #expect(parts.largestComponent().values == [false, false, true, true, false, false, true, true])
    }
}
