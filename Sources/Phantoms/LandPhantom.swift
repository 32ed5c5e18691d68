internal import BatchWork
internal import Failures
public import Foundation
internal import GeoRaster
internal import LabelSuperResolution
internal import LandCover
internal import Raster

/// Writes synthetic land: aerial images of four bands at 1 m with the true label of every pixel, and 30 m classes in another
/// projection, as NLCD has them.
///
/// In the folder: `images/land-N.tif` (red, green, blue, near infrared; UTM), `fine/land-N.tif` (1 water, 2 forest, 3 field, 4
/// impervious; the same pixels) and `coarse/land-N.tif` (NLCD's codes; Albers).
public struct LandPhantom: Sendable {
    public let folder: URL
    public let images: Int
    /// The side of each image, px.
    public let size: Int
    public let seed: UInt64

    public init(folder: URL, images: Int, size: Int, seed: UInt64) {
        self.folder = folder
        self.images = images
        self.size = size
        self.seed = seed
    }

    private static let utm = "EPSG:26917"
    private static let albers = "EPSG:5070"

    /// - Parameter progress: called with an image's number once it is written.
    public func write(progress: (Int) -> Void = { _ in }) throws {
        let folders = ["images", "fine", "coarse"].map { folder.appendingPathComponent($0, isDirectory: true) }
        for folder in folders {
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            } catch {
                throw InputError(.unusable, "cannot make the folder \(folder.path): \(FileFailure.reason(error))")
            }
        }
        for number in 1...images {
            let scene = LandScene(seed: SeededGenerator.draw(seed: seed, stream: UInt64(number)))
            let transform = GeoTransform(
                left: 500_000 + Double(number - 1) * 20_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            let name = "land-\(number).tif"
            let image = try GeoRasterWriter(
                folders[0].appendingPathComponent(name), width: size, height: size, bands: 4,
                placement: (transform, LandPhantom.utm), noData: nil, table: nil)
            let fine = try GeoRasterWriter(
                folders[1].appendingPathComponent(name), width: size, height: size,
                placement: (transform, LandPhantom.utm), noData: 0, table: LandClasses.fourLabels.codeTable)
            for row in 0..<size {
                var labels = [UInt8](repeating: 0, count: size)
                var bands = [UInt8](repeating: 0, count: 4 * size)
                for column in 0..<size {
                    let label = scene.label(x: column, y: row)
                    labels[column] = UInt8(label + 1)
                    for (band, value) in scene.pixel(label: label, x: column, y: row).enumerated() {
                        bands[band * size + column] = value
                    }
                }
                try fine.append(labels)
                try image.append(bands)
            }
            try fine.finish()
            try image.finish()
            try writeCoarse(scene, transform: transform, to: folders[2].appendingPathComponent(name))
            progress(number)
        }
    }

    /// Classes by what a cell holds, sampled at 10 × 10 places.
    private func writeCoarse(_ scene: LandScene, transform: GeoTransform, to file: URL) throws {
        let there = try CoordinateConversion(from: LandPhantom.utm, to: LandPhantom.albers)
        let back = try CoordinateConversion(from: LandPhantom.albers, to: LandPhantom.utm)
        var (xs, ys) = ([Double](), [Double]())
        for (column, row) in [(0, 0), (size, 0), (0, size), (size, size)] {
            let place = transform.place(column: Double(column), row: Double(row))
            xs.append(place.x)
            ys.append(place.y)
        }
        there.convert(x: &xs, y: &ys)
        let cell = 30.0
        func whole(_ value: Double) -> Double { (value / cell).rounded(.down) * cell }
        let (left, top) = (whole(xs.min() ?? 0), whole(ys.max() ?? 0) + cell)
        let columns = Int(((xs.max() ?? 0) - left) / cell) + 1
        let rows = Int((top - (ys.min() ?? 0)) / cell) + 1
        let grid = GeoTransform(left: left, top: top, pixelWidth: cell, pixelHeight: cell)
        let writer = try GeoRasterWriter(
            file, width: columns, height: rows, placement: (grid, LandPhantom.albers), noData: 0,
            table: LandClasses.nlcd.codeTable)
        let samples = 10
        for row in 0..<rows {
            var codes = [UInt8](repeating: 0, count: columns)
            for column in 0..<columns {
                var (x, y) = ([Double](), [Double]())
                for i in 0..<(samples * samples) {
                    let place = grid.place(
                        column: Double(column) + (Double(i % samples) + 0.5) / Double(samples),
                        row: Double(row) + (Double(i / samples) + 0.5) / Double(samples))
                    x.append(place.x)
                    y.append(place.y)
                }
                back.convert(x: &x, y: &y)
                var shares = [Double](repeating: 0, count: 4)
                for i in x.indices {
                    let pixel = transform.pixel(x: x[i], y: y[i])
                    let label = scene.label(x: Int(pixel.column.rounded(.down)), y: Int(pixel.row.rounded(.down)))
                    shares[label] += 1 / Double(samples * samples)
                }
                codes[column] = LandPhantom.code(shares)
            }
            try writer.append(codes)
        }
        try writer.finish()
    }

    /// NLCD's class of a cell by its shares of water, forest, field and impervious ground.
    private static func code(_ shares: [Double]) -> UInt8 {
        switch shares[3] {
        case 0.8...: 24
        case 0.5...: 23
        case 0.2...: 22
        case 0.04...: 21
        default: shares[0] >= 0.5 ? 11 : shares[1] >= 0.5 ? 41 : 81
        }
    }
}

/// What is where, for any place: lakes, woods, fields, and a town of roads and roofs.
private struct LandScene: Sendable {
    private let water: LatticeNoise
    private let woods: LatticeNoise
    private let town: LatticeNoise
    private let houses: LatticeNoise
    private let texture: LatticeNoise

    init(seed: UInt64) {
        func noise(_ stream: UInt64) -> LatticeNoise {
            LatticeNoise(seed: SeededGenerator.draw(seed: seed, stream: stream))
        }
        (water, woods, town, houses, texture) = (noise(1), noise(2), noise(3), noise(4), noise(5))
    }

    private static let (waterLabel, forest, field, impervious) = (0, 1, 2, 3)

    /// 0 water, 1 forest, 2 field, 3 impervious.
    func label(x: Int, y: Int) -> Int {
        let (fx, fy) = (Float(x), Float(y))
        let density = town.fractal(fx / 260, fy / 260)
        if isPaved(x: x, y: y, density: density) { return LandScene.impervious }
        if water.fractal(fx / 170, fy / 170) > 0.72 { return LandScene.waterLabel }
        let wood = woods.fractal(fx / 90, fy / 90) - (density > 0.5 ? 0.1 : 0)
        return wood > 0.47 ? LandScene.forest : LandScene.field
    }

    /// Streets every 60 px where there is a town, every 240 px elsewhere; roofs between them.
    private func isPaved(x: Int, y: Int, density: Float) -> Bool {
        let isTown = density > 0.52
        let pitch = isTown ? 60 : 240
        func place(_ value: Int, _ pitch: Int) -> Int { ((value % pitch) + pitch) % pitch }
        if place(x, pitch) < 7 || place(y, pitch) < 7 { return true }
        guard isTown else { return false }
        // A lot of 20 × 20 px holds a roof or not.
        let lot = (Int((Double(x) / 20).rounded(.down)), Int((Double(y) / 20).rounded(.down)))
        guard houses.value(Float(lot.0) * 7.3, Float(lot.1) * 5.1) < (density - 0.45) * 5 else { return false }
        return (4..<17).contains(place(x, 20)) && (4..<17).contains(place(y, 20))
    }

    /// Red, green, blue and near infrared.
    func pixel(label: Int, x: Int, y: Int) -> [UInt8] {
        let (fx, fy) = (Float(x), Float(y))
        let fineNoise = texture.value(fx / 1.7, fy / 1.7) - 0.5
        let patches = texture.fractal(fx / 7 + 100, fy / 7) - 0.5
        let wide = texture.fractal(fx / 60, fy / 60 + 100) - 0.5
        let (base, grain, mottle): ([Float], Float, Float) =
            switch label {
            case LandScene.waterLabel: ([62, 82, 92, 38], 10, 6)
            case LandScene.forest: ([82, 98, 78, 128], 26, 70)
            case LandScene.field: ([134, 144, 110, 158], 16, 22)
            default: ([162, 160, 156, 104], 20, 26)
            }
        return base.map { UInt8(max(1, min(255, $0 + grain * fineNoise + mottle * patches + 34 * wide))) }
    }
}
