public import Failures
public import Foundation
internal import Tables

/// Coarse labels of a slide: how likely each of its regions is to be infiltrated by lymphocytes.
public struct Heatmap: Sendable {
    /// A square of level-0 pixels and its probability.
    public struct Region: Equatable, Sendable {
        /// Top left corner, level-0 px.
        public let level0X: Double
        public let level0Y: Double
        /// 0 … 1.
        public let probability: Double
        /// Probability of necrosis where the file gives one.
        public let necrosis: Double

        public init(level0X: Double, level0Y: Double, probability: Double, necrosis: Double = 0) {
            self.level0X = level0X
            self.level0Y = level0Y
            self.probability = probability
            self.necrosis = necrosis
        }
    }

    public let url: URL
    public let regions: [Region]
    /// The side of a region, level-0 px.
    public let level0Side: Double
    public let format: Format

    /// Reads a quip text file (centres) or a WSInfer table (top left corners), gzipped or not.
    ///
    /// - Throws: ``SlideError`` with file and line for anything that is no coarse label, probabilities that are not in
    ///   0 … 1 among it.
    public init(_ url: URL) throws(SlideError) {
        try self.init(url, extent: nil)
    }

    init(text url: URL, beginning: [UInt8]) throws(SlideError) {
        self.url = url
        let firstLine = beginning.prefix { $0 != 0x0a && $0 != 0x0d }
        let columns = Set(CSVTable.columns(inFirstLine: firstLine))
        if columns.contains("minx") || columns.contains("miny") {
            (regions, level0Side) = try Heatmap.readWSInfer(url)
            format = .wsinfer
        } else {
            (regions, level0Side) = try Heatmap.readQuip(url)
            format = .quip
        }
    }

    /// The same, from values in memory.
    public init(url: URL, regions: [Region], level0Side: Double, format: Format = .quip) {
        self.url = url
        self.format = format
        self.regions = regions
        self.level0Side = level0Side
    }

    /// The size of a region that the classes and priors are meant for: 100 px at 0.5 µm.
    public static let nominalSideMicrons = 50.0

    /// Checks that the heatmap can be that of a slide: it lies on it, and its regions are about 50 µm wide.
    ///
    /// - Throws: ``SlideError`` that names both numbers where it does not fit.
    public func check(fits slide: Slide, scale: SlideScale) throws(SlideError) {
        let side = level0Side * scale.micronsPerPixel
        guard abs(side / Heatmap.nominalSideMicrons - 1) <= 0.25 else {
            throw SlideError(
                .heatmap,
                "heatmap \(url.path) does not fit slide \(slide.name): its regions are \(level0Side) px or "
                    + String(format: "%.1f", side) + " µm wide, \(Heatmap.nominalSideMicrons) µm are expected")
        }
        try checkOffset()
        let corners = self.corners
        let (left, top) = (corners.least.x, corners.least.y)
        let (right, bottom) = (corners.most.x + level0Side, corners.most.y + level0Side)
        // A partial region at the edge may hang over by less than its side.
        guard right < Double(slide.width) + level0Side, bottom < Double(slide.height) + level0Side, left > -level0Side,
            top > -level0Side,
            regions.contains(where: {
                $0.level0X < Double(slide.width) && $0.level0Y < Double(slide.height) && $0.level0X > -level0Side
                    && $0.level0Y > -level0Side
            })
        else {
            throw SlideError(
                .heatmap,
                "heatmap \(url.path) does not fit slide \(slide.name): it reaches from (\(Int(left)), \(Int(top))) to "
                    + "(\(Int(right)), \(Int(bottom))), the slide has \(slide.width)×\(slide.height) px")
        }
        try checkOverlap()
    }

    /// Each place has one region: of two the label is not known, or pixels count twice.
    ///
    /// Partial regions at an edge may reach into their neighbours; the middles are what must lie apart.
    private func checkOverlap() throws(SlideError) {
        let corners = self.corners
        let columns = Int((corners.most.x - corners.least.x) / level0Side) + 2
        let rows = Int((corners.most.y - corners.least.y) / level0Side) + 2
        guard regions.count > 1, columns > 0, rows > 0, columns <= 1 << 20, rows <= 1 << 20, columns * rows <= 1 << 28
        else { return }
        func cell(_ region: Region) -> Int {
            let x = ((region.level0X - corners.least.x) / level0Side).rounded()
            let y = ((region.level0Y - corners.least.y) / level0Side).rounded()
            return Int(y) * columns + Int(x)
        }
        var count = [UInt8](repeating: 0, count: columns * rows)
        for region in regions { count[cell(region)] = min(2, count[cell(region)] + 1) }
        var first: [SIMD2<Double>: Double] = [:]
        var crowded = 0
        for region in regions where count[cell(region)] > 1 {
            crowded += 1
            let corner = SIMD2(region.level0X, region.level0Y)
            if let other = first[corner] {
                throw SlideError(
                    .heatmap,
                    "heatmap \(url.path) lists the region at (\(corner.x), \(corner.y)) twice, with the probabilities \(other) and \(region.probability)"
                )
            }
            first[corner] = region.probability
        }
        guard crowded * 20 <= regions.count else {
            throw SlideError(
                .heatmap,
                "heatmap \(url.path) has regions that overlap: \(crowded) of \(regions.count) share the place of another; "
                    + "one region of \(level0Side) px every \(level0Side) px is expected")
        }
    }

    /// The least and the largest corner of the regions, each axis by itself, level-0 px; zeros where there are none.
    public var corners: (least: SIMD2<Double>, most: SIMD2<Double>) {
        guard let first = regions.first else { return (.zero, .zero) }
        var least = SIMD2(first.level0X, first.level0Y)
        var most = least
        for region in regions {
            let corner = SIMD2(region.level0X, region.level0Y)
            least = pointwiseMin(least, corner)
            most = pointwiseMax(most, corner)
        }
        return (least, most)
    }

    /// Quip's grid begins at the slide's corner: where most regions lie off it, centres and corners were mixed up, or the file
    /// counts from elsewhere.
    private func checkOffset() throws(SlideError) {
        guard format == .quip, regions.count >= 4 else { return }
        func rest(_ value: Double) -> Double {
            let rest = value.truncatingRemainder(dividingBy: level0Side)
            return rest < 0 ? rest + level0Side : rest
        }
        func isOff(_ value: Double) -> Bool { value > 0.1 * level0Side && value < 0.9 * level0Side }
        let off = regions.count { isOff(rest($0.level0X)) || isOff(rest($0.level0Y)) }
        guard off * 2 > regions.count else { return }
        let sample = stride(from: 0, to: regions.count, by: max(1, regions.count / 100_000)).map { regions[$0] }
        let (xs, ys) = (sample.map { rest($0.level0X) }.sorted(), sample.map { rest($0.level0Y) }.sorted())
        throw SlideError(
            .heatmap,
            "heatmap \(url.path) lies off its grid: regions of \(level0Side) px begin at (\(xs[xs.count / 2]), "
                + "\(ys[ys.count / 2])) px past it; quip's coordinates are centres, not corners")
    }

    private static let probabilityColumns = [
        "prob_Lymphocytes", "prob_lymphocytes", "prob_TIL", "prob_tils-present", "prob_lymphocyte-positive",
    ]

    private static func readWSInfer(_ url: URL) throws(SlideError) -> ([Region], Double) {
        var regions: [Region] = []
        regions.reserveCapacity(expectedRegions(url))
        // A URL makes its path anew each time it is asked.
        let path = url.path
        var side: Double?
        var column: String?
        do {
            try CSVTable.read(url, requiring: ["minx", "miny", "width", "height"]) { row in
                if column == nil { column = probabilityColumns.first(where: row.has) }
                guard let column else {
                    throw SlideError(
                        .heatmap,
                        "heatmap \(path) has no column of lymphocyte probabilities (one of "
                            + "\(probabilityColumns.joined(separator: ", ")))")
                }
                func malformed(_ what: String) -> SlideError {
                    SlideError(.heatmap, "heatmap \(path) line \(row.line): \(what)")
                }
                let (width, height) = (try row.number("width"), try row.number("height"))
                if let side, side != width { throw malformed("regions of \(side) and \(width) px are mixed") }
                guard width == height, width > 0 else {
                    throw malformed("a region of \(width)×\(height) px is no square")
                }
                side = width
                let probability = try row.number(column)
                try check(probability, path: path, line: row.line)
                let (x, y) = (try row.number("minx"), try row.number("miny"))
                guard width < 1e6, abs(x) < farthest, abs(y) < farthest else {
                    throw malformed("(\(x), \(y)) is no place on a slide")
                }
                try add(Region(level0X: x, level0Y: y, probability: probability), to: &regions, path: path)
            }
        } catch let error as SlideError {
            throw error
        } catch let error as TableError {
            throw SlideError(.table, error.message, cause: error)
        } catch {
            throw SlideError(.heatmap, "cannot read heatmap \(path)", detail: "\(error)", cause: error)
        }
        guard let side else { throw SlideError(.heatmap, "heatmap \(path) has no regions") }
        return (regions, side)
    }

    /// A slide of 2³⁸ px, the largest that is opened, has seven million regions of 200 px.
    private static let mostRegions = 12_000_000

    /// How many regions a file of this size can hold at most, up to ten million: an array that grows would be in memory twice
    /// each time. Memory that is not filled is not taken.
    private static func expectedRegions(_ url: URL) -> Int {
        let size = (try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int) ?? 0
        // "1 1 0" and its end; packed text is ten times longer than its file.
        return min(mostRegions, size / 6 * (url.pathExtension.lowercased() == "gz" ? 10 : 1))
    }

    static func add(_ region: Region, to regions: inout [Region], path: String) throws(SlideError) {
        guard regions.count < mostRegions else {
            throw SlideError(.heatmap, "heatmap \(path) has more than \(mostRegions) regions: no slide has")
        }
        regions.append(region)
    }

    /// No slide is wider, in level-0 px; a larger number would not fit later arithmetic.
    private static let farthest = 1e8

    private static func check(_ probability: Double, path: String, line: Int) throws(SlideError) {
        guard probability >= 0, probability <= 1 else {
            throw SlideError(
                .heatmap, "heatmap \(path) line \(line): probability \(probability) is not between 0 and 1")
        }
    }

    private static func readQuip(_ url: URL) throws(SlideError) -> ([Region], Double) {
        // Centres until the step is known.
        var regions: [Region] = []
        regions.reserveCapacity(expectedRegions(url))
        // A URL makes its path anew each time it is asked.
        let path = url.path
        var columns = GridAxis()
        var rows = GridAxis()
        var fields = [Double](repeating: 0, count: 4)
        try asSlideError {
            try TextFile.forEachLine(url) { bytes, text, line in
                let count = NumberScanner.scan(bytes, text, into: &fields)
                if count == 0 { return }
                guard let count, count >= 3 else {
                    // WSInfer's converter writes a header line: words, of which none is a number.
                    if line == 1, NumberScanner.hasOnlyWords(bytes, text) { return }
                    throw SlideError(
                        .heatmap,
                        "heatmap \(path) line \(line): expected 'x y lymphocyte [necrosis]', found "
                            + "'\(String(decoding: bytes[text].prefix(60), as: UTF8.self))'")
                }
                let (x, y) = (fields[0], fields[1])
                guard x.isFinite, y.isFinite, abs(x) < farthest, abs(y) < farthest else {
                    throw SlideError(
                        .heatmap, "heatmap \(path) line \(line): (\(x), \(y)) is no place on a slide")
                }
                try check(fields[2], path: path, line: line)
                try add(
                    Region(level0X: x, level0Y: y, probability: fields[2], necrosis: count > 3 ? fields[3] : 0),
                    to: &regions, path: path)
                columns.add(x)
                rows.add(y)
            }
        }
        guard !regions.isEmpty else { throw SlideError(.heatmap, "heatmap \(path) has no regions") }
        let step = try GridAxis.step(columns, rows, path: path)
        for index in regions.indices {
            let centre = regions[index]
            regions[index] = Region(
                level0X: centre.level0X - step / 2, level0Y: centre.level0Y - step / 2,
                probability: centre.probability, necrosis: centre.necrosis)
        }
        return (regions, step)
    }
}
