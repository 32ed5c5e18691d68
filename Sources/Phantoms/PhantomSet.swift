internal import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import WholeSlide

/// Writes phantom slides with everything that is known of them: the demo's and the tests' input.
///
/// In the folder: `phantom-N.svs`, `heatmaps/prediction-phantom-N`, `masks/phantom-N.png`, `truth/phantom-N.csv`,
/// `patches/phantom-N/`, and `counts.csv` from all slides but the last, which is left for scoring.
public struct PhantomSet: Sendable {
    public let folder: URL
    public let slides: Int
    /// The side of each slide, px.
    public let size: Int
    public let seed: UInt64

    public static let micronsPerPixel = 0.5
    /// The side of a region and of a patch, px.
    private static let regionSide = 100
    /// Larger slides get no mask file: a single PNG of them is of no use.
    private static let largestMask = 12_000
    private static let patchesPerClass = 250

    public init(folder: URL, slides: Int, size: Int, seed: UInt64) {
        self.folder = folder
        self.slides = slides
        self.size = size
        self.seed = seed
    }

    /// A region with its count and coarse class.
    private struct Counted {
        let slide: String
        let x: Int
        let y: Int
        let coarseClass: Int
        let lymphocytes: Int
    }

    /// What a set holds.
    public struct Summary: Sendable {
        public let cells: Int
        public let lymphocytes: Int
        /// AUC of mean haematoxylin at the centre, over the last slide's patches; nil where it has too few.
        public let darkness: Double?
    }

    /// Writes the set.
    ///
    /// - Parameter progress: called with the slide's number and the share of it that is done.
    @discardableResult
    public func write(progress: (Int, Double) -> Void) throws -> Summary {
        let table = folder.appendingPathComponent("counts.csv")
        let marker = folder.appendingPathComponent("phantom-1.svs")
        guard !FileManager.default.fileExists(atPath: table.path) || FileManager.default.fileExists(atPath: marker.path)
        else {
            throw InputError(.unusable, "\(table.path) is not that of a phantom set: give another folder to --output")
        }
        for name in ["heatmaps", "masks", "truth", "patches"] {
            do {
                try FileManager.default.createDirectory(
                    at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
            } catch {
                throw InputError(
                    .unusable, "cannot make folder \(folder.path): \(FileFailure.reason(error))", cause: error)
            }
        }
        var counted: [Counted] = []
        var (cells, lymphocytes) = (0, 0)
        var darkness: Double?
        for number in 1...slides {
            let name = "phantom-\(number)"
            let slideSeed = SeededGenerator.draw(seed: seed, stream: UInt64(number))
            let tissue = PhantomTissue(size: size, seed: slideSeed)
            let nuclei = tissue.allNuclei()
            let fractions = try writeSlide(name, tissue: tissue, seed: slideSeed) { progress(number, $0) }
            let regions = try writeHeatmap(name, fractions: fractions, nuclei: nuclei, seed: slideSeed)
            if number < slides || slides == 1 { counted += regions }
            try writeTruth(name, nuclei)
            darkness = try writePatches(name, nuclei, seed: slideSeed)
            cells += nuclei.count
            lymphocytes += nuclei.filter { $0.kind == .lymphocyte }.count
        }
        try writeCounts(counted)
        return Summary(cells: cells, lymphocytes: lymphocytes, darkness: darkness)
    }

    /// Writes slide and mask, and returns the share of lymphocyte pixels of each region, row by row.
    private func writeSlide(
        _ name: String, tissue: PhantomTissue, seed: UInt64, progress: (Double) -> Void
    ) throws -> [Double] {
        let renderer = PhantomRenderer(tissue: tissue, seed: seed)
        let columns = size / PhantomSet.regionSide
        var counts = [Int](repeating: 0, count: columns * columns)
        var mask: [UInt8]? = size <= PhantomSet.largestMask ? [] : nil
        mask?.reserveCapacity(size * size)
        let writer = PyramidTIFF(width: size, height: size, micronsPerPixel: PhantomSet.micronsPerPixel)
        try writer.write(
            to: folder.appendingPathComponent("\(name).svs"), description: "Graticule phantom, seed \(self.seed)"
        ) { y, height in
            let (image, lymphocytes) = renderer.band(y: y, height: height)
            for row in 0..<height {
                let regionRow = (y + row) / PhantomSet.regionSide
                guard regionRow < columns else { continue }
                for x in 0..<(columns * PhantomSet.regionSide) where lymphocytes[x, row] {
                    counts[regionRow * columns + x / PhantomSet.regionSide] += 1
                }
            }
            mask?.append(contentsOf: lymphocytes.values.map { $0 ? 255 : 0 })
            progress(Double(y + height) / Double(size))
            return image
        }
        if let mask {
            try PNG.write(
                Plane(width: size, height: size, values: mask),
                to: folder.appendingPathComponent("masks/\(name).png"))
        }
        return counts.map { Double($0) / Double(PhantomSet.regionSide * PhantomSet.regionSide) }
    }

    /// Writes the quip heatmap of p = √(f / 0.4) with errors of 0.05, in no order, as real ones are.
    private func writeHeatmap(
        _ name: String, fractions: [Double], nuclei: [PhantomNucleus], seed: UInt64
    ) throws -> [Counted] {
        let side = PhantomSet.regionSide
        let columns = size / side
        var generator = SeededGenerator(seed: seed, stream: 0x4ea7)
        var lymphocytes = [Int](repeating: 0, count: columns * columns)
        for nucleus in nuclei where nucleus.kind == .lymphocyte {
            let (column, row) = (Int(nucleus.x) / side, Int(nucleus.y) / side)
            if column < columns, row < columns { lymphocytes[row * columns + column] += 1 }
        }
        let tissue = PhantomTissue(size: size, seed: seed)
        var lines: [String] = []
        var counted: [Counted] = []
        for index in fractions.indices {
            let (x, y) = (index % columns * side, index / columns * side)
            let middle = Float(side) / 2
            let isTissue = tissue.tissue(Float(x) + middle, Float(y) + middle) > 0
            let probability =
                isTissue ? max(0, min(1, (fractions[index] / 0.4).squareRoot() + 0.05 * generator.nextGaussian())) : 0
            lines.append("\(x + side / 2) \(y + side / 2) \(String(format: "%.6f", probability)) 0.000000")
            if isTissue {
                counted.append(
                    Counted(
                        slide: name, x: x, y: y, coarseClass: ProbabilityClasses().index(of: probability),
                        lymphocytes: lymphocytes[index]))
            }
        }
        lines.shuffle(using: &generator)
        try AtomicFile.write(
            Data((lines.joined(separator: "\n") + "\n").utf8),
            to: folder.appendingPathComponent("heatmaps/prediction-\(name)"))
        return counted
    }

    private func writeTruth(_ name: String, _ nuclei: [PhantomNucleus]) throws {
        var text = "slide,x,y,area_px,type\n"
        for nucleus in nuclei {
            let area = Float.pi * nucleus.major * nucleus.minor
            text += String(
                format: "%@,%.1f,%.1f,%.0f,%@\n", name, nucleus.x, nucleus.y, area, nucleus.kind.rawValue)
        }
        try AtomicFile.write(Data(text.utf8), to: folder.appendingPathComponent("truth/\(name).csv"))
    }

    private func writePatches(_ name: String, _ nuclei: [PhantomNucleus], seed: UInt64) throws -> Double? {
        let side = PhantomSet.regionSide
        var generator = SeededGenerator(seed: seed, stream: 0x9a7c)
        let inner = Float(side) / 2..<Float(size - side / 2)
        let usable = nuclei.enumerated().filter { inner.contains($0.element.x) && inner.contains($0.element.y) }
        let positives = usable.filter { $0.element.kind == .lymphocyte }.shuffled(using: &generator)
        let negatives = usable.filter { $0.element.kind != .lymphocyte }.shuffled(using: &generator)
        let chosen = (positives.prefix(PhantomSet.patchesPerClass) + negatives.prefix(PhantomSet.patchesPerClass))
            .shuffled(using: &generator)
        guard !positives.isEmpty, !negatives.isEmpty else { return nil }
        let set = folder.appendingPathComponent("patches/\(name)")
        try FileManager.default.createDirectory(at: set, withIntermediateDirectories: true)
        let slide = try Slide(folder.appendingPathComponent("\(name).svs"))
        var table = "file,label,mpp,source\n"
        var darkness: [Double] = []
        let centre = Double(side) / 2
        let disc = PatchEvaluation.pixels(
            inside: PatchEvaluation.discRadius / PhantomSet.micronsPerPixel, of: centre, side: side)
        for (index, (number, nucleus)) in chosen.enumerated() {
            let image = try slide.read(
                level: 0, levelX: Int(nucleus.x.rounded()) - side / 2, levelY: Int(nucleus.y.rounded()) - side / 2,
                width: side, height: side)
            let file = String(format: "%04d.png", index)
            try PNG.write(image, to: set.appendingPathComponent(file))
            table +=
                "\(file),\(nucleus.kind == .lymphocyte ? "lymphocyte" : "other"),\(PhantomSet.micronsPerPixel),\(name)#\(number)\n"
            let hematoxylin = ColorDeconvolution.hematoxylinEosin.hematoxylin(image).values
            darkness.append(disc.reduce(0) { $0 + Double(hematoxylin[$1]) } / Double(disc.count))
        }
        try AtomicFile.write(Data(table.utf8), to: set.appendingPathComponent("labels.csv"))
        return try AreaUnderCurve(
            scores: darkness, isPositive: chosen.map { $0.element.kind == .lymphocyte }
        ).value
    }

    private func writeCounts(_ counted: [Counted]) throws {
        var generator = SeededGenerator(seed: seed, stream: 0xc0)
        var text = "class,slide,x,y,lymphocytes\n"
        for (known, regions) in Dictionary(grouping: counted, by: \.coarseClass).sorted(by: { $0.key < $1.key }) {
            for region in regions.shuffled(using: &generator).prefix(ContactSheets.regionsPerClass) {
                text += "\(known),\(region.slide),\(region.x),\(region.y),\(region.lymphocytes)\n"
            }
        }
        try AtomicFile.write(Data(text.utf8), to: folder.appendingPathComponent("counts.csv"))
    }
}
