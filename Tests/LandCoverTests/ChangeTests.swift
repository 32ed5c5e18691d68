import BatchWork
import Failures
import Foundation
import GeoRaster
import GraticuleTesting
import Testing

@testable import LandCover

/// Change between two rasters of one place.
struct ChangeTests {
    private func write(
        _ url: URL, width: Int, height: Int, bands: Int, transform: GeoTransform, noData: UInt8? = nil,
        value: (_ column: Int, _ row: Int, _ band: Int) -> UInt8
    ) throws {
        let writer = try GeoRasterWriter(
            url, width: width, height: height, bands: bands, placement: (transform, "EPSG:26914"), noData: noData,
            table: nil)
        for row in 0..<height {
            try writer.append((0..<bands).flatMap { band in (0..<width).map { value($0, row, band) } })
        }
        try writer.finish()
    }

    private func ground(_ column: Int, _ row: Int, _ band: Int) -> Double {
        90 + 40 * sin(Double(column) / 9 + Double(band)) + 30 * cos(Double(row) / 7)
    }

    /// Windows of 8 × 8 px of 5 m; the later image is brighter, lies 10 m east and 5 m north, and one window is flooded.
    @Test func aShiftOfLightIsCalibratedAndAFloodFound() throws {
        try TestFolders.withTemporary { folder in
            let (before, after) = (folder.appendingPathComponent("b.tif"), folder.appendingPathComponent("a.tif"))
            let grid = GeoTransform(left: 485_900, top: 5_209_247, pixelWidth: 5, pixelHeight: 5)
            try write(before, width: 85, height: 66, bands: 3, transform: grid, noData: 0) {
                UInt8(ground($0, $1, $2).rounded())
            }
            let moved = GeoTransform(left: 485_910, top: 5_209_252, pixelWidth: 5, pixelHeight: 5)
            try write(after, width: 90, height: 70, bands: 3, transform: moved, noData: 0) { column, row, band in
                let (x, y) = (column + 2, row - 1)
                let level = 1.25 * ground(x, y, band) + 12
                return (16..<24).contains(x) && (8..<16).contains(y) ? 30 : UInt8(level.rounded())
            }
            let found = try ChangeDetection(
                before: GeoRaster(before), after: GeoRaster(after), signal: .image, side: 40, threshold: 10)
            #expect(found.columns == 10 && found.rows == 8 && found.windows.count == 80)
            #expect(found.windows.filter(\.isChanged).map { [$0.column, $0.row] } == [[2, 1]])
            for (band, line) in found.calibration.enumerated() {
                // The flood pulls at the line a little; a grey level in the middle of the range is off by less than two.
                let level = line.gain * (1.25 * 90 + 12) + line.offset
                #expect(abs(level - 90) < 2, "band \(band): \(line)")
            }
            let window = try #require(found.windows.first { $0.isChanged })
            #expect(window.x == 485_900 + 2.5 * 40 && window.y == 5_209_247 - 1.5 * 40)

            let truth = folder.appendingPathComponent("t.tif")
            try write(truth, width: 85, height: 66, bands: 1, transform: grid) { column, row, _ in
                (16..<24).contains(column) && (8..<16).contains(row) ? 1 : 0
            }
            let known = try found.truth(GeoRaster(truth), share: 0.15)
            #expect(known.count { $0 == true } == 1 && found.areaUnderCurve(truth: known) == 1)

            let output = folder.appendingPathComponent("changes.tif")
            try found.write(to: output)
            let raster = try GeoRaster(output)
            #expect(raster.width == 10 && raster.height == 8)
            #expect(raster.transform == GeoTransform(left: 485_900, top: 5_209_247, pixelWidth: 40, pixelHeight: 40))
            let values = try raster.values(band: 0, in: .init(column: 2, row: 1, width: 1, height: 1))
            #expect(values == [Float(window.signal)])
        }
    }

    /// Without anything that changed the line is the one that was laid on, to half a grey level.
    @Test func calibrationFindsTheLine() throws {
        try TestFolders.withTemporary { folder in
            let (before, after) = (folder.appendingPathComponent("b.tif"), folder.appendingPathComponent("a.tif"))
            let grid = GeoTransform(left: 485_900, top: 5_209_247, pixelWidth: 5, pixelHeight: 5)
            try write(before, width: 80, height: 80, bands: 2, transform: grid) { UInt8(ground($0, $1, $2).rounded()) }
            try write(after, width: 80, height: 80, bands: 2, transform: grid) {
                UInt8((0.8 * ground($0, $1, $2) + 25).rounded())
            }
            let found = try ChangeDetection(
                before: GeoRaster(before), after: GeoRaster(after), signal: .image, side: 40, threshold: 5)
            for line in found.calibration {
                for level in [20.0, 60, 120] {
                    #expect(abs(line.gain * (0.8 * level + 25) + line.offset - level) < 0.5)
                }
            }
            #expect(found.windows.allSatisfy { $0.signal < 1 && !$0.isChanged })
        }
    }

    /// Nothing changed where nothing differs.
    @Test func anImageEqualsItself() throws {
        try TestFolders.withTemporary { folder in
            let image = folder.appendingPathComponent("b.tif")
            let grid = GeoTransform(left: 485_900, top: 5_209_247, pixelWidth: 5, pixelHeight: 5)
            try write(image, width: 80, height: 80, bands: 2, transform: grid) { UInt8(ground($0, $1, $2).rounded()) }
            let found = try ChangeDetection(
                before: GeoRaster(image), after: GeoRaster(image), signal: .map, side: 40)
            #expect(found.windows.allSatisfy { !$0.isChanged })
            for side in [Double.infinity, 1e300, -1, .nan] {
                #expect(throws: InputError.self) {
                    try ChangeDetection(before: GeoRaster(image), after: GeoRaster(image), signal: .map, side: side)
                }
            }
        }
    }

    @Test func mapsAreComparedByLabels() throws {
        try TestFolders.withTemporary { folder in
            let (before, after) = (folder.appendingPathComponent("b.tif"), folder.appendingPathComponent("a.tif"))
            let grid = GeoTransform(left: 485_900, top: 5_209_247, pixelWidth: 5, pixelHeight: 5)
            try write(before, width: 32, height: 16, bands: 1, transform: grid, noData: 0) { column, _, _ in
                column < 8 ? 0 : 2
            }
            try write(after, width: 32, height: 16, bands: 1, transform: grid, noData: 0) { column, row, _ in
                column < 20 && row < 8 ? 1 : 2
            }
            let found = try ChangeDetection(
                before: GeoRaster(before), after: GeoRaster(after), signal: .map, side: 40)
            // The first column of windows has no data.
            #expect(found.windows.map(\.signal) == [1, 0.5, 0, 0, 0, 0])
            #expect(found.windows.count(where: \.isChanged) == 2 && found.calibration.isEmpty)

            let far = folder.appendingPathComponent("f.tif")
            let away = GeoTransform(left: 700_000, top: 5_209_247, pixelWidth: 5, pixelHeight: 5)
            try write(far, width: 32, height: 16, bands: 1, transform: away) { _, _, _ in 1 }
            let error = #expect(throws: InputError.self) {
                try ChangeDetection(before: GeoRaster(before), after: GeoRaster(far), signal: .map, side: 40)
            }
            #expect(error?.message.contains("have no window with data in both") == true)
            #expect(throws: InputError.self) {
                try ChangeDetection(before: GeoRaster(before), after: GeoRaster(after), signal: .map, side: 4000)
            }
        }
    }
}
