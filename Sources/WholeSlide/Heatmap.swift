public import Foundation

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

    /// Reads a quip text file (METHOD §7 A; centres) or a WSInfer table (D; top left corners), gzipped or not.
    ///
    /// - Throws: ``SlideError`` with file and line for anything that is no coarse label, probabilities that are not in
    ///   0 … 1 among it.
    public init(_ url: URL) throws(SlideError) {
        try self.init(url, extent: nil)
    }

    init(text bytes: [UInt8], url: URL) throws(SlideError) {
        self.url = url
        let firstLine = bytes.prefix { $0 != UInt8(ascii: "\n") }
        if String(decoding: firstLine.prefix(200), as: UTF8.self).hasPrefix("minx,") {
            (regions, level0Side) = try Heatmap.readWSInfer(url)
            format = .wsinfer
        } else {
            (regions, level0Side) = try Heatmap.readQuip(bytes, path: url.path)
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
        let right = (regions.map(\.level0X).max() ?? 0) + level0Side
        let bottom = (regions.map(\.level0Y).max() ?? 0) + level0Side
        let left = regions.map(\.level0X).min() ?? 0
        let top = regions.map(\.level0Y).min() ?? 0
        // A partial region at the edge may hang over by less than its side.
        guard right < Double(slide.width) + level0Side, bottom < Double(slide.height) + level0Side, left > -level0Side,
            top > -level0Side
        else {
            throw SlideError(
                .heatmap,
                "heatmap \(url.path) does not fit slide \(slide.name): it reaches from (\(Int(left)), \(Int(top))) to "
                    + "(\(Int(right)), \(Int(bottom))), the slide has \(slide.width)×\(slide.height) px")
        }
    }

    /// Quip's grid begins at the slide's corner: where most regions lie off it, centres and corners were mixed up, or the file
    /// counts from elsewhere.
    private func checkOffset() throws(SlideError) {
        guard format == .quip, regions.count >= 4 else { return }
        func rest(_ value: Double) -> Double {
            let rest = value.truncatingRemainder(dividingBy: level0Side)
            return rest < 0 ? rest + level0Side : rest
        }
        let rests = regions.map { (x: rest($0.level0X), y: rest($0.level0Y)) }
        func isOff(_ value: Double) -> Bool { value > 0.1 * level0Side && value < 0.9 * level0Side }
        guard rests.count(where: { isOff($0.x) || isOff($0.y) }) * 2 > rests.count else { return }
        let (xs, ys) = (rests.map(\.x).sorted(), rests.map(\.y).sorted())
        throw SlideError(
            .heatmap,
            "heatmap \(url.path) lies off its grid: regions of \(level0Side) px begin at (\(xs[xs.count / 2]), "
                + "\(ys[ys.count / 2])) px past it; quip's coordinates are centres, not corners")
    }

    private static func readWSInfer(_ url: URL) throws(SlideError) -> ([Region], Double) {
        let table = try CSVTable(url, requiring: ["minx", "miny", "width", "height"])
        let names = [
            "prob_Lymphocytes", "prob_lymphocytes", "prob_TIL", "prob_tils-present", "prob_lymphocyte-positive",
        ]
        guard let column = names.first(where: table.columns.contains) else {
            throw SlideError(
                .heatmap,
                "heatmap \(url.path) has no column of lymphocyte probabilities (one of \(names.joined(separator: ", ")))"
            )
        }
        var regions: [Region] = []
        regions.reserveCapacity(table.rows.count)
        var side: Double?
        for row in table.rows {
            let width = try row.number("width")
            let height = try row.number("height")
            if let side, side != width {
                throw SlideError(
                    .heatmap, "heatmap \(url.path) line \(row.line): regions of \(side) and \(width) px are mixed")
            }
            guard width == height, width > 0 else {
                throw SlideError(
                    .heatmap, "heatmap \(url.path) line \(row.line): a region of \(width)×\(height) px is no square")
            }
            side = width
            let probability = try row.number(column)
            try check(probability, path: url.path, line: row.line)
            let (x, y) = (try row.number("minx"), try row.number("miny"))
            guard width < 1e6, abs(x) < farthest, abs(y) < farthest else {
                throw SlideError(.heatmap, "heatmap \(url.path) line \(row.line): (\(x), \(y)) is no place on a slide")
            }
            regions.append(Region(level0X: x, level0Y: y, probability: probability))
        }
        guard let side else { throw SlideError(.heatmap, "heatmap \(url.path) has no regions") }
        return (regions, side)
    }

    /// No slide is wider, in level-0 px; a larger number would not fit later arithmetic.
    private static let farthest = 1e8

    private static func check(_ probability: Double, path: String, line: Int) throws(SlideError) {
        guard probability >= 0, probability <= 1 else {
            throw SlideError(
                .heatmap, "heatmap \(path) line \(line): probability \(probability) is not between 0 and 1")
        }
    }

    private static func readQuip(_ bytes: [UInt8], path: String) throws(SlideError) -> ([Region], Double) {
        var centres: [(x: Double, y: Double, probability: Double, necrosis: Double)] = []
        centres.reserveCapacity(bytes.count / 20)
        var fields = [Double](repeating: 0, count: 4)
        var line = 0
        var position = 0
        while position < bytes.count {
            line += 1
            var end = position
            while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
            let count = NumberScanner.scan(bytes, position..<end, into: &fields)
            let text = position..<end
            position = end + 1
            if count == 0 { continue }
            guard let count, count >= 3 else {
                // WSInfer's converter writes a header line.
                if line == 1, bytes[text.lowerBound] > UInt8(ascii: "9") { continue }
                throw SlideError(
                    .heatmap,
                    "heatmap \(path) line \(line): expected 'x y lymphocyte [necrosis]', found "
                        + "'\(String(decoding: bytes[text].prefix(60), as: UTF8.self))'")
            }
            guard fields[0].isFinite, fields[1].isFinite, abs(fields[0]) < farthest, abs(fields[1]) < farthest else {
                throw SlideError(
                    .heatmap, "heatmap \(path) line \(line): (\(fields[0]), \(fields[1])) is no place on a slide")
            }
            try check(fields[2], path: path, line: line)
            centres.append((fields[0], fields[1], fields[2], count > 3 ? fields[3] : 0))
        }
        guard !centres.isEmpty else { throw SlideError(.heatmap, "heatmap \(path) has no regions") }
        guard let step = step(centres.map(\.x)) ?? step(centres.map(\.y)) else {
            throw SlideError(.heatmap, "heatmap \(path) has a single region: its size cannot be told")
        }
        return (
            centres.map {
                Region(
                    level0X: $0.x - step / 2, level0Y: $0.y - step / 2, probability: $0.probability,
                    necrosis: $0.necrosis)
            }, step
        )
    }

    /// The grid step: the most frequent distance of neighbouring coordinates, since partial regions at the slide's edge
    /// have centres a little off the grid.
    private static func step(_ coordinates: [Double]) -> Double? {
        let sorted = Set(coordinates).sorted()
        var frequency: [Double: Int] = [:]
        for (a, b) in zip(sorted, sorted.dropFirst()) { frequency[b - a, default: 0] += 1 }
        return frequency.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key
    }
}
