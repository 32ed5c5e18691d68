import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Testing

@testable import GeoRaster

/// Files of other programs, and damaged ones.
struct HostileRasterTests {
    /// Bytes of a header are changed, or the file is cut off. Whatever GDAL makes of it, it is a raster or a sentence.
    @Test func damagedFilesCostOnlyThemselves() throws {
        try TestFolders.withTemporary { folder in
            let whole = folder.appendingPathComponent("whole.tif")
            let writer = try GeoRasterWriter(
                whole, width: 700, height: 600, bands: 2,
                placement: (GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1), "EPSG:26917"),
                noData: 0, table: nil)
            for row in 0..<600 { try writer.append((0..<1400).map { UInt8(($0 * 7 + row * 3) % 251) }) }
            try writer.finish()
            let data = try Data(contentsOf: whole)
            var generator = SeededGenerator(seed: 11)
            var (opened, refused) = (0, 0)
            for number in 0..<150 {
                var bytes = data
                if number % 5 == 0 {
                    bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &generator))
                } else {
                    for _ in 0..<Int.random(in: 1...12, using: &generator) {
                        let reach = number % 2 == 0 ? min(1200, bytes.count) : bytes.count
                        bytes[Int.random(in: 0..<reach, using: &generator)] = UInt8.random(
                            in: 0...255, using: &generator)
                    }
                }
                let file = folder.appendingPathComponent("m\(number).tif")
                try bytes.write(to: file)
                do throws(GeoRasterError) {
                    let raster = try GeoRaster(file)
                    _ = try? raster.placement()
                    let window = GeoRaster.Window(
                        column: 0, row: 0, width: min(raster.width, 600), height: min(raster.height, 500))
                    for band in 0..<min(raster.bands, 3) { _ = try raster.values(band: band, in: window) }
                    opened += 1
                } catch {
                    #expect(error.message.contains(file.lastPathComponent), "\(error.message)")
                    #expect(!error.message.contains("\n"))
                    refused += 1
                }
            }
            #expect(opened > 10 && refused > 10, "\(opened) opened, \(refused) refused")
        }
    }

    @Test(.enabled(if: TestFolders.shared != nil)) func filesOfOthersAreRead() throws {
        let folder = try #require(TestFolders.shared).appendingPathComponent("landcover/readers")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".tif") }
        #expect(names.count >= 5)
        for name in names {
            let raster = try GeoRaster(folder.appendingPathComponent(name))
            let window = GeoRaster.Window(
                column: raster.width / 2, row: raster.height / 2, width: min(40, raster.width - raster.width / 2),
                height: min(30, raster.height - raster.height / 2))
            for band in 0..<raster.bands {
                #expect(try raster.values(band: band, in: window).count == window.width * window.height)
            }
            guard name != "cog_gcps.tif" else {
                let error = #expect(throws: GeoRasterError.self) { try raster.placement() }
                #expect(error?.message.contains("does not say where it lies") == true)
                continue
            }
            let (transform, projection) = try raster.placement()
            // A pixel's middle is where another way to the same place finds it.
            let place = transform.place(column: 10.5, row: 20.5)
            let there = try CoordinateConversion(from: projection, to: "EPSG:4326")
            var (x, y) = ([place.x], [place.y])
            there.convert(x: &x, y: &y)
            try CoordinateConversion(from: "EPSG:4326", to: projection).convert(x: &x, y: &y)
            let pixel = transform.pixel(x: x[0], y: y[0])
            #expect(abs(pixel.column - 10.5) < 1e-3 && abs(pixel.row - 20.5) < 1e-3, "\(name)")
        }
    }
}
