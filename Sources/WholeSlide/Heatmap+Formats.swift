public import Failures
public import Foundation
internal import Raster
internal import Tables

extension Heatmap {
    /// The layouts that are read (docs/guide.md).
    public enum Format: String, Sendable {
        case quip
        /// One pixel a region: red = probability, green = necrosis, blue = tissue.
        case png
        case wsinfer
        case caMicroscope = "camicroscope"
        case featureMap = "featuremap"
    }

    /// What formats without level-0 coordinates need to know of the slide.
    public struct Extent: Sendable {
        public let width: Int
        public let height: Int
        public let micronsPerPixel: Double

        public init(_ slide: Slide, scale: SlideScale) {
            (width, height, micronsPerPixel) = (slide.width, slide.height, scale.micronsPerPixel)
        }

        init(width: Int, height: Int, micronsPerPixel: Double) {
            (self.width, self.height, self.micronsPerPixel) = (width, height, micronsPerPixel)
        }
    }

    /// Reads a heatmap of any format, told by its content.
    ///
    /// - Parameter extent: of its slide; formats that count in regions or in shares of the slide need it.
    /// - Throws: ``SlideError`` with the file, and where there is one the line, for anything that is no coarse label.
    public init(_ url: URL, extent: Extent?) throws(SlideError) {
        let beginning = try asSlideError({ try TextFile.beginning(of: url, count: 64 << 10) })
        func needed() throws(SlideError) -> Extent {
            guard let extent else {
                throw SlideError(
                    .heatmap,
                    "heatmap \(url.path) does not say where its regions lie without its slide: give the slide too")
            }
            return extent
        }
        switch beginning.first(where: { $0 > 0x20 }) {
        case 0x89: try self.init(picture: url, extent: needed())
        case UInt8(ascii: "{"): try self.init(json: url, beginning: beginning, extent: needed())
        default: try self.init(text: url, beginning: beginning)
        }
    }

    /// Finds, reads and checks the heatmap of a slide; regions that a `color-…` file beside it calls blank are left out.
    ///
    /// - Parameter file: the slide's, by whose names the heatmap is found.
    /// - Returns: nil where the folder has none.
    /// - Throws: ``SlideError`` where there are several, or the one found is malformed or of another slide.
    public static func ofSlide(
        _ slide: Slide, file: SlideFile? = nil, scale: SlideScale, in folder: URL
    ) throws(SlideError) -> Heatmap? {
        let pairing = FilePairing(file ?? SlideFile(slide.url), in: folder)
        guard let file = try pairing.heatmap() else { return nil }
        let heatmap = try Heatmap(file, extent: Extent(slide, scale: scale))
        try heatmap.check(fits: slide, scale: scale)
        guard let colors = try pairing.colors() else { return heatmap }
        return try heatmap.withoutBlanks(colors)
    }

    // MARK: PNG (C)

    private init(picture url: URL, extent: Extent) throws(SlideError) {
        var (columns, rows) = (0, 0)
        // A grey picture has no channels of necrosis and tissue: every pixel is a region.
        var isGrey = true
        var found: [(x: Int, y: Int, red: UInt8, green: UInt8, blue: UInt8)] = []
        do {
            try PNG.readNumbers(url, mostPixels: Heatmap.mostPictureRegions) { width, height in
                (columns, rows) = (width, height)
            } row: { y, numbers in
                // Transparent pixels are nothing at all.
                for x in 0..<columns where numbers[4 * x + 3] > 0 {
                    let (red, green, blue) = (numbers[4 * x], numbers[4 * x + 1], numbers[4 * x + 2])
                    isGrey = isGrey && red == green && green == blue
                    found.append((x, y, red, green, blue))
                }
            }
            // Nothing but zeros says that there is no tissue.
            if !isGrey || found.allSatisfy({ $0.red == 0 }) { found.removeAll { $0.blue == 0 } }
        } catch {
            throw SlideError(.heatmap, "cannot read heatmap \(url.path)", detail: "\(error)", cause: error)
        }
        let side = try Heatmap.side(columns: columns, rows: rows, extent: extent, path: url.path)
        guard !found.isEmpty else { throw SlideError(.heatmap, "heatmap \(url.path) has no region with tissue") }
        self.init(
            url: url,
            regions: found.map {
                Region(
                    level0X: Double($0.x) * side, level0Y: Double($0.y) * side, probability: Double($0.red) / 255,
                    necrosis: isGrey ? 0 : Double($0.green) / 255)
            }, level0Side: side, format: .png)
    }

    /// A region a pixel: more than any slide has.
    private static let mostPictureRegions = 8_000_000

    /// The side of the regions of which a slide has so many columns and rows: 50 µm where that gives these numbers (a partial
    /// region at the edge may or may not count), else what both axes agree on.
    private static func side(columns: Int, rows: Int, extent: Extent, path: String) throws(SlideError) -> Double {
        let nominal = (nominalSideMicrons / extent.micronsPerPixel).rounded()
        func gives(_ count: Int, _ length: Int) -> Bool { abs(Double(length) / nominal - Double(count)) <= 1 }
        if gives(columns, extent.width), gives(rows, extent.height) { return nominal }
        let (wide, high) = (Double(extent.width) / Double(columns), Double(extent.height) / Double(rows))
        // Each count may be off by one.
        let tolerance = 0.01 + 1 / Double(min(columns, rows))
        guard abs(wide / high - 1) <= tolerance else {
            throw SlideError(
                .heatmap,
                "heatmap \(path) of \(columns)×\(rows) regions does not have the shape of its slide of "
                    + "\(extent.width)×\(extent.height) px")
        }
        return (wide + high) / 2
    }

    // MARK: JSON (E, F)

    private init(json url: URL, beginning: [UInt8], extent: Extent) throws(SlideError) {
        let line = beginning.prefix { $0 != 0x0a && $0 != 0x0d }
        if let first = Heatmap.object(line), first["properties"] is [String: Any] {
            try self.init(features: url, extent: extent)
            return
        }
        guard let whole = Heatmap.object(try asSlideError { try TextFile.read(url) }[...]) else {
            throw SlideError(.heatmap, "heatmap \(url.path) is cut off, or no JSON")
        }
        if whole["metadata"] is [String: Any] {
            try self.init(featureMap: whole, url: url, extent: extent)
        } else {
            try self.init(caMicroscope: whole, url: url, extent: extent)
        }
    }

    private static func object(_ bytes: ArraySlice<UInt8>) -> [String: Any]? {
        (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
    }

    private init(featureMap whole: [String: Any], url: URL, extent: Extent) throws(SlideError) {
        func malformed(_ what: String) -> SlideError { SlideError(.heatmap, "heatmap \(url.path) \(what)") }
        guard let metadata = whole["metadata"] as? [String: Any], let data = whole["data"] as? [String: Any],
            let places = data["locations"] as? [String: Any], let features = data["features"] as? [String: Any],
            let columns = places["i"] as? [Int], let rows = places["j"] as? [Int],
            let values = features["TIL"] as? [Double]
        else { throw malformed("is no FeatureMap with locations and the feature TIL") }
        guard columns.count == rows.count, values.count == rows.count else {
            throw malformed("has \(columns.count) columns, \(rows.count) rows and \(values.count) values of TIL")
        }
        guard let width = metadata["img_width"] as? Int, let height = metadata["img_height"] as? Int,
            let side = metadata["patch_w"] as? Double, side == metadata["patch_h"] as? Double, side > 0, side < 1e6
        else { throw malformed("does not say how large its slide and its square patches are") }
        guard width == extent.width, height == extent.height else {
            throw malformed(
                "is of a slide of \(width)×\(height) px, this one has \(extent.width)×\(extent.height)")
        }
        let tissue = features["Tissue"] as? [Double]
        var regions: [Region] = []
        for index in columns.indices {
            if let tissue, tissue.count == columns.count, tissue[index] <= 0 { continue }
            guard (0...255).contains(values[index]), (0..<10_000_000).contains(columns[index]),
                (0..<10_000_000).contains(rows[index])
            else { throw malformed("has an impossible region: number \(index + 1)") }
            regions.append(
                Region(
                    level0X: Double(columns[index]) * side, level0Y: Double(rows[index]) * side,
                    probability: values[index] / 255))
        }
        guard !regions.isEmpty else { throw malformed("has no regions") }
        self.init(url: url, regions: regions, level0Side: side, format: .featureMap)
    }

    private init(caMicroscope whole: [String: Any], url: URL, extent: Extent) throws(SlideError) {
        func malformed(_ what: String) -> SlideError { SlideError(.heatmap, "heatmap \(url.path) \(what)") }
        let analysis = (whole["provenance"] as? [String: Any])?["analysis"] as? [String: Any]
        guard let rows = whole["data"] as? [[Double]], let size = analysis?["size"] as? [Double], size.count == 2 else {
            throw malformed("is no heatmap of caMicroscope: it has no provenance.analysis.size and data")
        }
        let fields = (analysis?["fields"] as? [[String: Any]])?.compactMap { $0["name"] as? String } ?? []
        // The first field where none is named for lymphocytes: caMicroscope shows that one first.
        let column = 2 + (Heatmap.lymphocyteField(fields) ?? 0)
        let side = try Heatmap.side(normalized: size, extent: extent, path: url.path)
        var regions: [Region] = []
        regions.reserveCapacity(rows.count)
        for (index, row) in rows.enumerated() {
            guard row.count > column else { throw malformed("has too few values in row \(index + 1)") }
            regions.append(
                try Heatmap.region(
                    x: row[0], y: row[1], probability: row[column], extent: extent, path: url.path, number: index + 1))
        }
        guard !regions.isEmpty else { throw malformed("has no regions") }
        self.init(url: url, regions: regions, level0Side: side, format: .caMicroscope)
    }

    /// The older form: one GeoJSON-like object a line.
    private init(features url: URL, extent: Extent) throws(SlideError) {
        var regions: [Region] = []
        var size: [Double]?
        try asSlideError {
            try TextFile.forEachLine(url) { bytes, text, line in
                if bytes[text].allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { return }
                guard let object = Heatmap.object(bytes[text]), let properties = object["properties"] as? [String: Any],
                    let values = properties["multiheat_param"] as? [String: Any],
                    let metrics = values["metric_array"] as? [Any], let box = object["bbox"] as? [Double],
                    box.count == 4
                else {
                    throw SlideError(
                        .heatmap, "heatmap \(url.path) line \(line): no region with bbox and properties.multiheat_param"
                    )
                }
                let names = values["heatname_array"] as? [String] ?? []
                let numbers = metrics.compactMap { ($0 as? Double) ?? ($0 as? String).flatMap(Double.init) }
                let column = Heatmap.lymphocyteField(names) ?? 0
                guard numbers.count == metrics.count, column < numbers.count else {
                    throw SlideError(.heatmap, "heatmap \(url.path) line \(line): no number for each heatmap")
                }
                size = size ?? [box[2] - box[0], box[3] - box[1]]
                let region = try Heatmap.region(
                    x: box[0], y: box[1], probability: numbers[column], extent: extent, path: url.path, number: line)
                try Heatmap.add(region, to: &regions, path: url.path)
            }
        }
        guard let size, !regions.isEmpty else { throw SlideError(.heatmap, "heatmap \(url.path) has no regions") }
        self.init(
            url: url, regions: regions, level0Side: try Heatmap.side(normalized: size, extent: extent, path: url.path),
            format: .caMicroscope)
    }

    private static func lymphocyteField(_ names: [String]) -> Int? {
        names.firstIndex { name in
            let name = name.lowercased()
            return name.hasPrefix("lym") || name.hasPrefix("til") || name.contains("lymphocyte")
        }
    }

    /// The side of a region from its shares of the slide's width and height.
    private static func side(normalized size: [Double], extent: Extent, path: String) throws(SlideError) -> Double {
        let (wide, high) = (size[0] * Double(extent.width), size[1] * Double(extent.height))
        guard wide.isFinite, high.isFinite, wide >= 1, high >= 1, abs(wide / high - 1) <= 0.02 else {
            throw SlideError(
                .heatmap,
                "heatmap \(path) does not fit its slide: its regions would have \(wide) × \(high) px, which is no square"
            )
        }
        return (wide + high) / 2
    }

    private static func region(
        x: Double, y: Double, probability: Double, extent: Extent, path: String, number: Int
    ) throws(SlideError) -> Region {
        guard (-0.01...1.01).contains(x), (-0.01...1.01).contains(y) else {
            throw SlideError(.heatmap, "heatmap \(path) region \(number): (\(x), \(y)) is no share of the slide's size")
        }
        guard (0...1).contains(probability) else {
            throw SlideError(
                .heatmap, "heatmap \(path) region \(number): probability \(probability) is not between 0 and 1")
        }
        return Region(
            level0X: x * Double(extent.width), level0Y: y * Double(extent.height), probability: probability)
    }

    // MARK: quip colours (B)

    /// Mean channel standard deviation below which quip calls a region blank.
    static let leastWhiteness = 12.0

    /// Leaves out the regions that a quip `color-…` file calls blank.
    ///
    /// - Throws: ``SlideError`` where the file is malformed.
    public func withoutBlanks(_ colors: URL) throws(SlideError) -> Heatmap {
        var blank = Set<SIMD2<Int>>()
        var fields = [Double](repeating: 0, count: 8)
        try asSlideError {
            try TextFile.forEachLine(colors) { bytes, text, line in
                let count = NumberScanner.scan(bytes, text, into: &fields)
                if count == 0 || (line == 1 && NumberScanner.hasOnlyWords(bytes, text)) { return }
                guard let count, count >= 3, abs(fields[0]) < 1e8, abs(fields[1]) < 1e8 else {
                    throw SlideError(
                        .heatmap, "colours \(colors.path) line \(line): expected 'x y whiteness blackness redness'")
                }
                if fields[2] < Heatmap.leastWhiteness { blank.insert(cell(x: fields[0], y: fields[1])) }
            }
        }
        let kept = regions.filter { region in
            !blank.contains(cell(x: region.level0X + level0Side / 2, y: region.level0Y + level0Side / 2))
        }
        guard !kept.isEmpty else {
            throw SlideError(.heatmap, "colours \(colors.path) call every region of \(url.path) blank")
        }
        return Heatmap(url: url, regions: kept, level0Side: level0Side, format: format)
    }

    private func cell(x: Double, y: Double) -> SIMD2<Int> {
        SIMD2(Int((x / level0Side).rounded(.down)), Int((y / level0Side).rounded(.down)))
    }

    // MARK: Writing

    /// The regions as quip text (A): `x y probability necrosis`, centres in level-0 px.
    public func writeQuip(to target: URL) throws {
        let file = try FileStream(target)
        for region in regions {
            let (x, y) = (region.level0X + level0Side / 2, region.level0Y + level0Side / 2)
            try file.write("\(Int(x.rounded())) \(Int(y.rounded())) \(region.probability) \(region.necrosis)\n")
        }
        try file.finish()
    }
}

/// How a heatmap and its slide go together.
public struct HeatmapReport: Encodable, Sendable {
    public let file: String
    public let format: String
    public let regions: Int
    public let regionPixels: Double
    public let regionMicrons: Double
    /// Share of the regions with tissue under them, and of the tissue's regions that have a label.
    public let regionsOnTissue: Double
    public let tissueLabelled: Double
    public let meanProbability: Double
    /// Regions by tenth of probability.
    public let histogram: [Int]

    /// - Throws: ``SlideError`` where there is no heatmap, or it does not fit.
    public init(slide: Slide, scale: SlideScale, file: URL) throws(SlideError) {
        let heatmap = try Heatmap(file, extent: Heatmap.Extent(slide, scale: scale))
        try heatmap.check(fits: slide, scale: scale)
        let tissue = try TissueMask(slide: slide, scale: scale)
        let side = heatmap.level0Side
        var labelled = 0.0
        var onTissue = 0
        var counts = [Int](repeating: 0, count: 10)
        for region in heatmap.regions {
            let area = tissue.areaSquareMillimeters(
                level0X: region.level0X, level0Y: region.level0Y, width: side, height: side)
            labelled += area
            onTissue += area > 0 ? 1 : 0
            counts[min(9, Int(region.probability * 10))] += 1
        }
        self.file = file.path
        format = heatmap.format.rawValue
        regions = heatmap.regions.count
        regionPixels = side
        regionMicrons = side * scale.micronsPerPixel
        regionsOnTissue = Double(onTissue) / Double(max(1, heatmap.regions.count))
        tissueLabelled = min(1, labelled / max(1e-9, tissue.areaSquareMillimeters))
        meanProbability = heatmap.regions.reduce(0) { $0 + $1.probability } / Double(max(1, heatmap.regions.count))
        histogram = counts
    }
}
