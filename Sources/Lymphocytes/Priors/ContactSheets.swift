internal import BatchWork
internal import Charts
internal import CoarseTraining
public import Failures
public import Foundation
internal import LabelSuperResolution
internal import Raster
internal import WholeSlide
internal import Tables

/// Sheets of sampled regions of each coarse class, on which lymphocytes are counted by eye, with a table to fill in.
public struct ContactSheets: Sendable {
    /// Regions of each class on a sheet (paper §3.2: five).
    public static let regionsPerClass = 5
    /// How much a region is enlarged: a lymphocyte is then about a centimetre on a screen.
    private static let zoom = 3

    public let slides: URL
    public let heatmaps: URL
    public var givenScale: Double?

    public init(slides: URL, heatmaps: URL) {
        self.slides = slides
        self.heatmaps = heatmaps
    }

    /// Samples regions, and writes `class-0.png` … and `counts.csv` with the counts left empty.
    ///
    /// - Returns: the slides that were left out, and the classes of which there are fewer than five regions.
    public func write(to folder: URL, seed: UInt64) throws -> (failures: [FailedInput], scarce: [Int: Int]) {
        let classes = ProbabilityClasses()
        let contents = SlideFolder.contents(of: [slides])
        if let missing = contents.failures.first { throw missing }
        let (opened, failures) = RegionSample.open(
            contents.slides, heatmaps: heatmaps, givenScale: givenScale, classes: classes)
        guard !opened.isEmpty else {
            throw InputError(.unusable, failures.first?.message ?? "no slide with a heatmap in \(slides.path)")
        }
        let table = folder.appendingPathComponent("counts.csv")
        guard !FileManager.default.fileExists(atPath: table.path) else {
            throw InputError(.unusable, "\(table.path) exists already: move it away, so that no counts are lost")
        }
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw InputError(.unusable, "cannot make folder \(folder.path): \(FileFailure.reason(error))", cause: error)
        }
        let choice = RegionSample.choose(
            from: opened, classes: classes, perClass: ContactSheets.regionsPerClass, seed: seed)
        var lines = ["class,slide,x,y,lymphocytes\n"]
        var scarce: [Int: Int] = [:]
        for known in 0..<classes.count {
            let chosen = choice.filter { $0.coarseClass == known }
            if chosen.count < ContactSheets.regionsPerClass { scarce[known] = chosen.count }
            guard !chosen.isEmpty else { continue }
            var cells: [(image: RGBImage, caption: String)] = []
            for place in chosen {
                let slide = opened[place.slide]
                let corner = slide.regions.corner(place.position)
                let side = Int(slide.regions.workingSide.rounded())
                let image = try slide.reader.read(x: corner.x, y: corner.y, width: side, height: side)
                let frame = slide.reader.frame
                let x = Int(frame.level0(Double(corner.x)).rounded())
                let y = Int(frame.level0(Double(corner.y)).rounded())
                cells.append((image, "\(slide.name)  \(x), \(y)"))
                lines.append(TableText.line([String(known), slide.name, String(x), String(y), ""]))
            }
            try ContactSheets.sheet(known, cells).write(to: folder.appendingPathComponent("class-\(known).png"))
        }
        try AtomicFile.write(Data(lines.joined().utf8), to: table)
        return (failures, scarce)
    }

    private static func sheet(_ known: Int, _ cells: [(image: RGBImage, caption: String)]) throws -> RGBImage {
        let side = (cells.map { $0.image.width }.max() ?? 100) * zoom
        let (gap, top) = (16, 64)
        let canvas = try Canvas(width: gap + cells.count * (side + gap), height: top + side + 44)
        canvas.text("Class \(known)", x: Double(gap), y: 30, size: 19, isBold: true)
        canvas.text(
            "TIL probability \(Double(known) / 10) to \(Double(known + 1) / 10). Count the lymphocytes whose centre is inside each frame, "
                + "and fill in counts.csv.", x: Double(gap), y: 52, size: 12.5, color: .muted)
        for (index, cell) in cells.enumerated() {
            let x = gap + index * (side + gap)
            canvas.image(cell.image.enlarged(zoom), x: x, y: top)
            canvas.frame(
                x: Double(x) - 0.5, y: Double(top) - 0.5, width: Double(side) + 1, height: Double(side) + 1, color: .ink
            )
            canvas.text(
                "\(index + 1).  \(cell.caption)", x: Double(x), y: Double(top + side + 22), size: 12, color: .muted)
        }
        return canvas.rendered()
    }
}

extension RGBImage {
    fileprivate func write(to url: URL) throws { try PNG.write(self, to: url) }
}
