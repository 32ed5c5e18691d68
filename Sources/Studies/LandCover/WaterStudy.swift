internal import BatchWork
internal import Failures
public import Foundation
internal import GeoRaster
internal import LabelSuperResolution
internal import LandCover
internal import Raster

/// Change detection (paper Appendix D) where water came and went: maps of water and land, made by a network that learnt from coarse
/// blocks of other years, against the images themselves.
///
/// What is truly water is told by the images' own NDWI: this tests the way from blocks to changes, not what a network can know.
public struct WaterStudy: Study {
    /// Two years that are compared, with a network of the others.
    public struct Job: StudyJob {
        let before: String
        let after: String
        let training: [String]
        let seed: UInt64
        public var name: String { "change/\(before)-\(after)-\(seed)" }
    }

    /// How well a signal tells changed windows.
    public struct Score: Codable, Sendable {
        /// nil where all windows are alike.
        public var areaUnderCurve: Double?
        /// Windows that the signal's own threshold takes for changed, and that are not.
        public var falseWindows: Int
        public var missedWindows: Int
    }

    public struct Result: StudyResult {
        public var trainingSeconds: Double
        public var windows: Int
        public var changed: Int
        public var map: Score
        public var images: Score
        public var calibratedImages: Score
    }

    public let work: URL
    public var seeds = 3
    private let years: [(name: String, image: URL)]

    /// - Parameter data: a folder of images of one place, four bands, with the date at the end of each name.
    /// - Throws: ``InputError`` where there are fewer than three.
    public init(data: URL, work: URL) throws {
        self.work = work
        years = try RasterFolder(data).files.map { file in
            (String(RasterFolder.stem(file).suffix(8).prefix(4)), file)
        }.sorted { $0.name < $1.name }
        guard years.count >= 3, Set(years.map(\.name)).count == years.count else {
            throw InputError(
                .unusable, "\(data.path) needs images of three years or more, with the date at the end of each name")
        }
    }

    /// The first year and the last, where much changed, and the last two.
    public var jobs: [Job] {
        let names = years.map(\.name)
        return (1...UInt64(seeds)).flatMap { seed in
            [(names[0], names[names.count - 1]), (names[names.count - 2], names[names.count - 1])].map {
                before, after in
                Job(before: before, after: after, training: names.filter { $0 != before && $0 != after }, seed: seed)
            }
        }
    }

    /// Green over near infrared from which a pixel is water: (G − N)/(G + N) above this.
    static let leastIndex: Float = 0.2
    /// Pixels of a coarse cell's side: 60 m.
    private static let cellSide = 12
    /// Share of a window's pixels that must have changed.
    private static let changedShare = 0.15

    static let labels = LandClasses([
        (1, LandClasses.Class(name: "water", color: [31, 111, 178])),
        (2, LandClasses.Class(name: "land", color: [168, 207, 106])),
    ])

    /// Classes of cells by their share of water.
    static let classes = LandClasses(
        ["dry", "some water", "half water", "mostly water", "water"].enumerated().map { index, name in
            (index + 1, LandClasses.Class(name: name, color: [UInt8(200 - 40 * index), UInt8(210 - 25 * index), 180]))
        })

    /// The class of a cell, 1 to 5.
    static func code(share: Double) -> UInt8 {
        switch share {
        case ..<0.02: 1
        case ..<0.25: 2
        case ..<0.75: 3
        case ..<0.98: 4
        default: 5
        }
    }

    public func identity(_ job: Job) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var fingerprint = Fingerprint()
        fingerprint.add(
            try encoder.encode(TrainingPreset.fast.landCover(bands: 4, labels: WaterStudy.labels.count, seed: job.seed))
        )
        fingerprint.add("1 \(job.name) \(job.training) \(WaterStudy.leastIndex) \(WaterStudy.cellSide)".utf8)
        return fingerprint.text
    }

    public func perform(_ job: Job, progress: (String) -> Void) throws -> Result {
        let folder = folder(job)
        let parts = ["images", "fine", "coarse"].map { folder.appendingPathComponent($0, isDirectory: true) }
        for part in parts { try FileManager.default.createDirectory(at: part, withIntermediateDirectories: true) }
        func file(_ part: Int, _ year: String) -> URL { parts[part].appendingPathComponent("\(year).tif") }
        var counted = LandCoverPriors(coarse: WaterStudy.classes, labels: WaterStudy.labels)
        for (year, image) in years {
            try? FileManager.default.removeItem(at: file(0, year))
            try FileManager.default.createSymbolicLink(at: file(0, year), withDestinationURL: image.absoluteURL)
            let raster = try GeoRaster(image)
            try WaterStudy.write(waterOf: raster, fine: file(1, year), coarse: file(2, year))
            guard job.training.contains(year) else { continue }
            try counted.add(
                CoarseCells(
                    image: GeoRaster(file(1, year)), coarse: GeoRaster(file(2, year)), classes: WaterStudy.classes))
        }
        var training = LandCoverTraining(
            images: parts[0], coarse: parts[2], output: folder.appendingPathComponent("model"),
            priors: try counted.priors())
        training.coarseClasses = WaterStudy.classes
        training.labels = WaterStudy.labels
        training.only = Set(job.training)
        training.seed = job.seed
        let (mapper, seconds) = try training.mapper(progress: progress)
        func map(_ year: String) -> URL { folder.appendingPathComponent("map-\(year).tif") }
        for year in [job.before, job.after] { _ = try mapper.map(file(0, year), to: map(year)) }

        let changed = folder.appendingPathComponent("changed.tif")
        try WaterStudy.write(
            changesFrom: GeoRaster(file(1, job.before)), to: GeoRaster(file(1, job.after)), at: changed)
        func compared(_ one: URL, _ other: URL, _ signal: ChangeDetection.Signal, calibrates: Bool = true) throws
            -> (ChangeDetection, Score, truth: [Bool?])
        {
            let found = try ChangeDetection(
                before: GeoRaster(one), after: GeoRaster(other), signal: signal, calibrates: calibrates)
            let truth = try found.truth(GeoRaster(changed), share: WaterStudy.changedShare)
            let pairs = zip(found.windows, truth)
            return (
                found,
                Score(
                    areaUnderCurve: found.areaUnderCurve(truth: truth),
                    falseWindows: pairs.count { $0.isChanged && $1 == false },
                    missedWindows: pairs.count { !$0.isChanged && $1 == true }), truth
            )
        }
        let (one, other) = (file(0, job.before), file(0, job.after))
        let byMap = try compared(map(job.before), map(job.after), .map)
        return Result(
            trainingSeconds: seconds, windows: byMap.0.windows.count, changed: byMap.truth.count { $0 == true },
            map: byMap.1, images: try compared(one, other, .image, calibrates: false).1,
            calibratedImages: try compared(one, other, .image).1)
    }

    /// Writes what is water (1) and land (2), and classes of cells by it.
    private static func write(waterOf image: GeoRaster, fine: URL, coarse: URL) throws {
        let (width, height) = (image.width, image.height)
        let (transform, projection) = try image.placement()
        let writer = try GeoRasterWriter(
            fine, width: width, height: height, placement: (transform, projection), noData: 0, table: labels.codeTable)
        let (columns, rows) = (width / cellSide, height / cellSide)
        var water = [Int](repeating: 0, count: columns * rows)
        var known = water
        for row in 0..<height {
            let window = GeoRaster.Window(column: 0, row: row, width: width, height: 1)
            let (green, infrared) = (
                try image.values(band: 1, in: window), try image.values(band: 3, in: window)
            )
            var line = [UInt8](repeating: 0, count: width)
            for column in 0..<width where image.isData(green[column], band: 1) {
                let sum = green[column] + infrared[column]
                guard sum > 0 else { continue }
                line[column] = (green[column] - infrared[column]) / sum > leastIndex ? 1 : 2
                let (i, j) = (column / cellSide, row / cellSide)
                guard i < columns, j < rows else { continue }
                known[j * columns + i] += 1
                if line[column] == 1 { water[j * columns + i] += 1 }
            }
            try writer.append(line)
        }
        try writer.finish()
        let cells = try GeoRasterWriter(
            coarse, width: columns, height: rows,
            placement: (try GroundGrid(image).coarser(by: cellSide).transform, projection), noData: 0,
            table: classes.codeTable)
        for row in 0..<rows {
            try cells.append(
                (0..<columns).map { column in
                    let cell = row * columns + column
                    return known[cell] * 2 < cellSide * cellSide
                        ? 0 : code(share: Double(water[cell]) / Double(known[cell]))
                })
        }
        try cells.finish()
    }

    /// Writes 1 where two rasters of water differ on the pixels of the earlier, else 0; 255 where either knows nothing.
    private static func write(changesFrom before: GeoRaster, to after: GeoRaster, at url: URL) throws {
        let writer = try GeoRasterWriter(
            url, width: before.width, height: before.height, placement: try before.placement(), noData: 255, table: nil)
        for row in 0..<before.height {
            let window = GeoRaster.Window(column: 0, row: row, width: before.width, height: 1)
            let one = try before.values(band: 0, in: window)
            let other = try after.values(band: 0, on: before, window: window)
            try writer.append(
                zip(one, other).map { before, after in
                    before == 0 || after.isNaN ? 255 : before == after ? 0 : 1
                })
        }
        try writer.finish()
    }
}
