internal import BatchWork
internal import Failures
internal import Foundation
internal import GeoRaster
internal import LabelSuperResolution
internal import LandCover
internal import Raster

/// What is where on a piece of land.
protocol LandScene: Sendable {
    /// 0 water, 1 forest, 2 field, 3 impervious; nil where nothing is known. Defined beyond the image's edges too, since coarse cells
    /// reach over them.
    func label(x: Int, y: Int) -> Int?
    /// Red, green, blue and near infrared, 1 to 255.
    func pixel(label: Int, x: Int, y: Int) -> [UInt8]
    /// NLCD's class of a cell, by the shares of its labels and by where its middle lies.
    func code(_ shares: [Double], x: Double, y: Double) -> UInt8
}

/// Writes scenes as rasters: `images/`, `fine/` and `coarse/` in a folder.
struct LandSceneWriter {
    /// What is wrong with a coarse map.
    struct Flaws: Sendable {
        /// How far all cells lie from where they say, units of the CRS.
        var shift = (x: 0.0, y: 0.0)
        /// Share of cells that have a neighbour's class.
        var errors = 0.0
        var seed: UInt64 = 0
    }

    private static let utm = "EPSG:26917"
    private static let albers = "EPSG:5070"
    /// The side of a coarse cell.
    private static let cell = 30.0
    private let folders: [URL]

    init(folder: URL) throws {
        folders = ["images", "fine", "coarse"].map { folder.appendingPathComponent($0, isDirectory: true) }
        for folder in folders {
            do {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            } catch {
                throw InputError(.unusable, "cannot make the folder \(folder.path): \(FileFailure.reason(error))")
            }
        }
    }

    /// - Parameter place: a number; scenes of different numbers lie 20 km apart.
    func write(
        _ scene: any LandScene, name: String, place: Int, width: Int, height: Int, flaws: Flaws = Flaws()
    ) throws {
        let transform = GeoTransform(
            left: 500_000 + Double(place) * 20_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
        let file = "\(name).tif"
        let image = try GeoRasterWriter(
            folders[0].appendingPathComponent(file), width: width, height: height, bands: 4,
            placement: (transform, LandSceneWriter.utm), noData: 0, table: nil)
        let fine = try GeoRasterWriter(
            folders[1].appendingPathComponent(file), width: width, height: height,
            placement: (transform, LandSceneWriter.utm), noData: 0, table: LandClasses.fourLabels.codeTable)
        for row in 0..<height {
            var labels = [UInt8](repeating: 0, count: width)
            var bands = [UInt8](repeating: 0, count: 4 * width)
            for column in 0..<width {
                guard let label = scene.label(x: column, y: row) else { continue }
                labels[column] = UInt8(label + 1)
                for (band, value) in scene.pixel(label: label, x: column, y: row).enumerated() {
                    bands[band * width + column] = value
                }
            }
            try fine.append(labels)
            try image.append(bands)
        }
        try fine.finish()
        try image.finish()
        try writeCoarse(
            scene, width: width, height: height, transform: transform, flaws: flaws,
            to: folders[2].appendingPathComponent(file))
    }

    /// Classes by what a cell holds, sampled at 10 × 10 places.
    private func writeCoarse(
        _ scene: any LandScene, width: Int, height: Int, transform: GeoTransform, flaws: Flaws, to file: URL
    ) throws {
        let there = try CoordinateConversion(from: LandSceneWriter.utm, to: LandSceneWriter.albers)
        let back = try CoordinateConversion(from: LandSceneWriter.albers, to: LandSceneWriter.utm)
        var (xs, ys) = ([Double](), [Double]())
        for (column, row) in [(0, 0), (width, 0), (0, height), (width, height)] {
            let place = transform.place(column: Double(column), row: Double(row))
            xs.append(place.x)
            ys.append(place.y)
        }
        there.convert(x: &xs, y: &ys)
        let cell = LandSceneWriter.cell
        func whole(_ value: Double) -> Double { (value / cell).rounded(.down) * cell }
        let (left, top) = (whole(xs.min() ?? 0), whole(ys.max() ?? 0) + cell)
        let columns = Int(((xs.max() ?? 0) - left) / cell) + 1
        let rows = Int((top - (ys.min() ?? 0)) / cell) + 1
        let grid = GeoTransform(left: left, top: top, pixelWidth: cell, pixelHeight: cell)
        let samples = 10
        var codes = [UInt8](repeating: 0, count: columns * rows)
        for row in 0..<rows {
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
                var counts = [Double](repeating: 0, count: 4)
                var middle = (x: 0.0, y: 0.0)
                for i in x.indices {
                    let pixel = transform.pixel(x: x[i] + flaws.shift.x, y: y[i] + flaws.shift.y)
                    middle.x += pixel.column / Double(x.count)
                    middle.y += pixel.row / Double(x.count)
                    let label = scene.label(x: Int(pixel.column.rounded(.down)), y: Int(pixel.row.rounded(.down)))
                    if let label { counts[label] += 1 }
                }
                let known = counts.reduce(0, +)
                // A cell of which half is unknown has no class.
                guard known * 2 >= Double(samples * samples) else { continue }
                codes[row * columns + column] = scene.code(counts.map { $0 / known }, x: middle.x, y: middle.y)
            }
        }
        codes = LandSceneWriter.withErrors(codes, columns: columns, rows: rows, flaws: flaws)
        let writer = try GeoRasterWriter(
            file, width: columns, height: rows, placement: (grid, LandSceneWriter.albers), noData: 0,
            table: LandClasses.nlcd.codeTable)
        for row in 0..<rows { try writer.append(Array(codes[(row * columns)..<((row + 1) * columns)])) }
        try writer.finish()
    }

    private static func withErrors(_ codes: [UInt8], columns: Int, rows: Int, flaws: Flaws) -> [UInt8] {
        guard flaws.errors > 0 else { return codes }
        var generator = SeededGenerator(seed: flaws.seed)
        var wrong = codes
        for row in 0..<rows {
            for column in 0..<columns {
                let isWrong = Double.random(in: 0..<1, using: &generator) < flaws.errors
                let step = [(1, 0), (-1, 0), (0, 1), (0, -1)][Int.random(in: 0..<4, using: &generator)]
                let (x, y) = (column + step.0, row + step.1)
                guard isWrong, (0..<columns).contains(x), (0..<rows).contains(y) else { continue }
                let (own, other) = (codes[row * columns + column], codes[y * columns + x])
                if own != 0, other != 0 { wrong[row * columns + column] = other }
            }
        }
        return wrong
    }
}
