import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import GeoRaster

/// Rasters with a place on earth: transforms, CRS, windows, cells of one raster on the grid of another, and what we write.
struct GeoRasterTests {
    private let utm17 = "EPSG:26917"
    private let albers = "EPSG:5070"

    private func write(
        _ url: URL, width: Int, height: Int, transform: GeoTransform, projection: String, noData: UInt8? = nil,
        table: CodeTable? = nil, value: (Int, Int) -> UInt8
    ) throws {
        let writer = try GeoRasterWriter(
            url, width: width, height: height, placement: (transform, projection), noData: noData, table: table)
        let values = (0..<height).flatMap { row in (0..<width).map { value($0, row) } }
        try writer.append(values)
        try writer.finish()
    }

    @Test func transformsAreInverse() {
        // 30 m pixels turned by 20°.
        let (c, s) = (30 * cos(0.35), 30 * sin(0.35))
        let turned = GeoTransform([500_000, c, s, 4_200_000, s, -c])
        let place = turned.place(column: 10.5, row: 20.25)
        let pixel = turned.pixel(x: place.x, y: place.y)
        #expect(abs(pixel.column - 10.5) < 1e-9 && abs(pixel.row - 20.25) < 1e-9)
        #expect(abs(turned.pixelSize.width - 30) < 1e-9 && !turned.isNorthUp && turned.isInvertible)
        let plain = GeoTransform(left: 100, top: 50, pixelWidth: 2, pixelHeight: 4)
        #expect(plain.isNorthUp && plain.place(column: 0.5, row: 0.5) == (101, 48), "a pixel's centre is at ½")
        #expect(plain.window(column: 3, row: 5).place(column: 0, row: 0) == plain.place(column: 3, row: 5))
        #expect(!GeoTransform([0, 0, 0, 0, 0, 0]).isInvertible)
    }

    /// 4,205,815.02 m is 0.9996 times the meridian's arc from the equator to 38° on WGS 84. East is x and north is y, also where a CRS has latitude first. The central meridian of zone 17 is 81° W, at 500 km.
    @Test func placesKeepTheirOrder() throws {
        var (x, y) = ([-81.0, -80.0], [38.0, 38.0])
        try CoordinateConversion(from: "EPSG:4326", to: "EPSG:32617").convert(x: &x, y: &y)
        #expect(abs(x[0] - 500_000) < 0.01 && abs(y[0] - 4_205_815.02) < 0.01)
        // A degree of longitude at 38° is 87.7 km.
        #expect(abs(x[1] - x[0] - 87_800) < 200)
        try CoordinateConversion(from: "EPSG:32617", to: "EPSG:4326").convert(x: &x, y: &y)
        #expect(abs(x[0] + 81) < 1e-8 && abs(y[0] - 38) < 1e-8)
        #expect(throws: GeoRasterError.self) { try CoordinateConversion(from: "nonsense", to: "EPSG:4326") }
    }

    @Test func whatIsWrittenIsReadBack() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("map.tif")
            let transform = GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            let table = CodeTable([
                CodeTable.Entry(value: 1, name: "water", color: [0, 0, 255]),
                CodeTable.Entry(value: 2, name: "forest", color: [0, 99, 0]),
            ])
            try write(
                file, width: 1300, height: 700, transform: transform, projection: utm17, noData: 0, table: table
            ) { UInt8(($0 / 7 + $1 / 11) % 3) }
            let raster = try GeoRaster(file)
            #expect(raster.width == 1300 && raster.height == 700 && raster.bands == 1)
            #expect(raster.transform == transform && raster.noData == [0])
            #expect(raster.projection?.contains("UTM zone 17N") == true)
            let window = GeoRaster.Window(column: 511, row: 300, width: 40, height: 3)
            let values = try raster.values(band: 0, in: window)
            let wanted: [Float] = (300..<303).flatMap { (row: Int) -> [Float] in
                (511..<551).map { (column: Int) -> Float in Float((column / 7 + row / 11) % 3) }
            }
            #expect(values == wanted)
            #expect(!raster.isData(0, band: 0) && raster.isData(1, band: 0) && !raster.isData(.nan, band: 0))
            let head = try Data(contentsOf: file).prefix(400)
            #expect(head.range(of: Data("LAYOUT=IFDS_BEFORE_DATA".utf8)) != nil, "cloud-optimised")
            // GDAL keeps the names of codes beside a GeoTIFF.
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == [
                    "map.tif", "map.tif.aux.xml",
                ])
        }
    }

    @Test func whatIsNotFinishedLeavesNothing() throws {
        try TestFolders.withTemporary { folder in
            do {
                let writer = try GeoRasterWriter(
                    folder.appendingPathComponent("map.tif"), width: 10, height: 10, placement: nil, noData: nil,
                    table: nil)
                try writer.append([UInt8](repeating: 1, count: 90))
                #expect(throws: GeoRasterError.self) { try writer.finish() }
                #expect(throws: GeoRasterError.self) { try writer.append([UInt8](repeating: 1, count: 20)) }
                #expect(throws: GeoRasterError.self, "one writer at a time") {
                    try GeoRasterWriter(
                        folder.appendingPathComponent("map.tif"), width: 10, height: 10, placement: nil, noData: nil,
                        table: nil)
                }
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
            #expect(throws: GeoRasterError.self) {
                try GeoRasterWriter(
                    folder.appendingPathComponent("no/map.tif"), width: 1, height: 1, placement: nil, noData: nil,
                    table: nil)
            }
        }
    }

    @Test func aWriterGoesOnWhereAnotherStopped() throws {
        try TestFolders.withTemporary { folder in
            func write(_ name: String, identity: String, stops: [Int]) throws {
                for stop in stops {
                    let writer = try GeoRasterWriter(
                        folder.appendingPathComponent(name), width: 40, height: 30, bands: 2, placement: nil,
                        noData: nil, table: nil, identity: identity)
                    for row in writer.rows..<stop {
                        try writer.append((0..<80).map { UInt8((row * 7 + $0) % 251) })
                    }
                    if stop == 30 { try writer.finish() }
                }
            }
            try write("one.tif", identity: "a", stops: [30])
            try write("two.tif", identity: "a", stops: [11, 24, 30])
            #expect(
                try Data(contentsOf: folder.appendingPathComponent("one.tif"))
                    == Data(contentsOf: folder.appendingPathComponent("two.tif")))
            // Rows of something else are not gone on with.
            try write("three.tif", identity: "b", stops: [11])
            let other = try GeoRasterWriter(
                folder.appendingPathComponent("three.tif"), width: 40, height: 30, bands: 2, placement: nil,
                noData: nil, table: nil, identity: "c")
            #expect(other.rows == 0)
            let raster = try GeoRaster(folder.appendingPathComponent("two.tif"))
            let second = try raster.values(band: 1, in: .init(column: 3, row: 5, width: 2, height: 1))
            #expect(raster.bands == 2 && second == [Float((35 + 43) % 251), Float((35 + 44) % 251)])
        }
    }

    @Test func cellsOfAResampledRasterAreSquaresCutByValue() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("c.tif")
            let grid = GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            // Class 21 left of column 45, class 41 right of it; nothing below row 50.
            try write(file, width: 90, height: 60, transform: grid, projection: utm17, noData: 0) {
                $1 >= 50 ? 0 : $0 < 45 ? 21 : 41
            }
            let raster = try GeoRaster(file)
            let whole = try CellGrid(
                resampled: raster, side: 30, window: .init(column: 0, row: 0, width: 90, height: 60))
            let sizes = Dictionary(whole.cells.filter { $0 >= 0 }.map { (whole.keys[Int($0)], 1) }, uniquingKeysWith: +)
            #expect(sizes.values.sorted() == [300, 300, 450, 450, 600, 600, 900, 900])
            let part = try CellGrid(resampled: raster, side: 30, window: .init(column: 31, row: 7, width: 9, height: 9))
            #expect(part.keys == [whole.keys[Int(whole.cells[7 * 90 + 31])]] && part.values == [21])
        }
    }

    /// Albers cells lie turned on a UTM grid. Each pixel's cell is the one that its centre lies in.
    @Test func cellsOfAnotherProjectionAreTheirPixels() throws {
        try TestFolders.withTemporary { folder in
            // A place in West Virginia, where Albers is turned by about ten degrees.
            let image = folder.appendingPathComponent("image.tif")
            let grid = GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            try write(image, width: 300, height: 200, transform: grid, projection: utm17) { _, _ in 1 }
            var (x, y) = ([500_150.0], [4_199_900.0])
            try CoordinateConversion(from: utm17, to: albers).convert(x: &x, y: &y)
            let coarse = folder.appendingPathComponent("coarse.tif")
            let cells = GeoTransform(left: x[0] - 300, top: y[0] + 300, pixelWidth: 30, pixelHeight: 30)
            try write(coarse, width: 20, height: 20, transform: cells, projection: albers, noData: 0) {
                UInt8(($0 + 20 * $1) % 251)
            }
            let window = GeoRaster.Window(column: 20, row: 10, width: 250, height: 180)
            let found = try CellGrid(coarse: GeoRaster(coarse), on: GeoRaster(image), window: window)
            let conversion = try CoordinateConversion(from: utm17, to: albers)
            for (column, row) in [(0, 0), (249, 179), (100, 77), (13, 160)] {
                let place = grid.place(column: Double(20 + column) + 0.5, row: Double(10 + row) + 0.5)
                var (px, py) = ([place.x], [place.y])
                conversion.convert(x: &px, y: &py)
                let pixel = cells.pixel(x: px[0], y: py[0])
                let wanted = (Int(pixel.column) + 20 * Int(pixel.row)) % 251
                let number = found.cells[row * 250 + column]
                #expect(number < 0 ? wanted == 0 : Int(found.values[Int(number)]) == wanted, "\(column), \(row)")
            }
            let sizes = Dictionary(found.cells.filter { $0 >= 0 }.map { ($0, 1) }, uniquingKeysWith: +)
            let whole = sizes.values.filter { (850...950).contains($0) }
            #expect(whole.count > 20, "a cell of 30 m has about 900 pixels of 1 m")
            #expect(Set(whole).count > 1, "turned cells do not all have the same number of pixels")
        }
    }

    @Test func rastersThatDoNotOverlapShareNoCell() throws {
        try TestFolders.withTemporary { folder in
            let (image, coarse) = (folder.appendingPathComponent("i.tif"), folder.appendingPathComponent("c.tif"))
            let grid = GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            try write(image, width: 40, height: 40, transform: grid, projection: utm17) { _, _ in 1 }
            let far = GeoTransform(left: 900_000, top: 4_200_000, pixelWidth: 30, pixelHeight: 30)
            try write(coarse, width: 4, height: 4, transform: far, projection: utm17) { _, _ in 9 }
            let found = try CellGrid(
                coarse: GeoRaster(coarse), on: GeoRaster(image), window: .init(column: 0, row: 0, width: 40, height: 40)
            )
            #expect(found.values.isEmpty && found.cells.allSatisfy { $0 == -1 })
        }
    }

    @Test func whatCannotBeUsedGetsASentence() throws {
        try TestFolders.withTemporary { folder in
            func message(_ name: String) -> String {
                do {
                    _ = try GeoRaster(folder.appendingPathComponent(name))
                    return "opened"
                } catch {
                    return error.message
                }
            }
            #expect(message("none.tif") == "cannot open raster \(folder.path)/none.tif: no such file")
            #expect(message("").hasSuffix("it is a folder"))
            try Data("text".utf8).write(to: folder.appendingPathComponent("t.tif"))
            #expect(message("t.tif").contains("it is cut off, or no format that GDAL reads"))
            let file = folder.appendingPathComponent("plain.tif")
            let writer = try GeoRasterWriter(file, width: 64, height: 64, placement: nil, noData: nil, table: nil)
            var generator = SystemRandomNumberGenerator()
            let noise = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try writer.append(noise)
            try writer.finish()
            let raster = try GeoRaster(file)
            let error = #expect(throws: GeoRasterError.self) { try raster.placement() }
            #expect(
                error?.message
                    == "raster \(file.path) does not say where it lies (no CRS): give it one with gdal_translate or gdalwarp"
            )
            #expect(throws: GeoRasterError.self) {
                try raster.values(band: 0, in: .init(column: 60, row: 0, width: 5, height: 1))
            }
            #expect(throws: GeoRasterError.self) {
                try raster.values(band: 1, in: .init(column: 0, row: 0, width: 1, height: 1))
            }
            // Cut off in its pixels: it opens, and what is read fails.
            let whole = try Data(contentsOf: file)
            try whole.prefix(whole.count - 2000).write(to: folder.appendingPathComponent("cut.tif"))
            let cut = try GeoRaster(folder.appendingPathComponent("cut.tif"))
            #expect(throws: GeoRasterError.self) {
                try cut.values(band: 0, in: .init(column: 0, row: 0, width: 64, height: 64))
            }
        }
    }
}
