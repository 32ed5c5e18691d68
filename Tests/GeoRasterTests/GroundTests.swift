import Foundation
import GraticuleTesting
import Testing

@testable import GeoRaster

struct GroundTests {
    private func raster(
        _ folder: URL, crs: String, transform: GeoTransform, width: Int = 40, height: Int = 30
    ) throws -> GeoRaster {
        let file = folder.appendingPathComponent("\(UUID().uuidString).tif")
        let writer = try GeoRasterWriter(
            file, width: width, height: height, placement: (transform, crs), noData: 0, table: nil)
        for row in 0..<height { try writer.append((0..<width).map { UInt8(1 + ($0 + row) % 200) }) }
        try writer.finish()
        return try GeoRaster(file)
    }

    /// A pixel of a projection is not always what it says: Mercator's metre is half a metre at 60° N.
    @Test func pixelsAreMeasuredOnTheGround() throws {
        try TestFolders.withTemporary { folder in
            let cases: [(String, GeoTransform, Double, Double)] = [
                (
                    "EPSG:26917", GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 2.5), 1.0004,
                    2.501
                ),
                // 60° N: the scale of Mercator is 2 but for the ellipsoid's flattening.
                ("EPSG:3857", GeoTransform(left: 0, top: 8_399_738, pixelWidth: 1, pixelHeight: 1), 0.501, 0.499),
                // A ten-thousandth of a degree at 45° N.
                ("EPSG:4326", GeoTransform(left: 7, top: 45, pixelWidth: 1e-4, pixelHeight: 1e-4), 7.885, 11.113),
            ]
            for (crs, transform, column, row) in cases {
                let size = try #require(try raster(folder, crs: crs, transform: transform).groundSize)
                #expect(abs(size.column / column - 1) < 0.005, "\(crs): \(size.column)")
                #expect(abs(size.row / row - 1) < 0.005, "\(crs): \(size.row)")
            }
        }
    }

    @Test func fewerPixelsAreThoseOfTheSamePlaces() throws {
        try TestFolders.withTemporary { folder in
            let place = GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            let image = try raster(folder, crs: "EPSG:26917", transform: place)
            let window = GeoRaster.Window(column: 4, row: 6, width: 32, height: 16)
            let whole = try image.values(band: 0, in: window)
            let fewer = try image.values(band: 0, in: window, width: 8, height: 4)
            for row in 0..<4 {
                for column in 0..<8 {
                    let part = (0..<16).map { whole[(4 * row + $0 / 4) * 32 + 4 * column + $0 % 4] }
                    #expect(part.contains(fewer[row * 8 + column]))
                }
            }
            // Each coarser pixel is the one of the image that its centre lies in.
            let grid = try GroundGrid(image).coarser(by: 3)
            let tile = GeoRaster.Window(column: 2, row: 1, width: 5, height: 4)
            let found = try image.values(band: 0, on: grid, window: tile, mostRead: .max)
            for (i, value) in found.enumerated() {
                let (column, row) = (3 * (2 + i % 5) + 1, 3 * (1 + i / 5) + 1)
                #expect(value == Float(1 + (column + row) % 200))
            }
            let bounded = try image.values(band: 0, on: grid, window: tile, mostRead: 30)
            #expect(bounded.count == 20 && bounded.allSatisfy { !$0.isNaN })
        }
    }
}
