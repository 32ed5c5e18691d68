public import Failures
public import Raster

/// Which parts of a slide hold tissue: where cells count, and over which area.
///
/// Drawn outlines hold to the outline itself. What is found by itself, and masks of pixels, are known at low resolution.
public struct TissueMask: Sendable {
    /// The grid of the mask; its pixels are ``resolution`` µm wide.
    public let frame: WorkingFrame
    /// Of outlines: the mask's pixels of which any part is inside.
    public let mask: Plane<Bool>
    private let outlines: OutlinedArea?
    /// Whether the tissue was found by itself: then its edge is only known to about a pixel of the mask.
    private let isFound: Bool

    /// Cells count to tissue that was found by itself where their centre is no farther from it than this, µm. The mask's
    /// density is smoothed by a Gaussian of one pixel (8 µm) before its threshold, and a pixel is in or out as a whole: by
    /// one of each the mask's edge may lie within faint tissue.
    static let foundMargin = 16.0

    /// So far around the tissue the network is asked, µm: a clump of cells that has some within is seen whole, as it would
    /// be on the whole slide. Beyond tissue that was found by itself there is glass.
    static let foundSurroundings = 48.0
    static let drawnSurroundings = 128.0

    /// µm per pixel of the mask: a lymphocyte is 7 µm, so that a lone cell off the tissue's edge is still seen.
    public static let resolution = 8.0
    /// Mean optical density above which a pixel is no glass, the least and the most that Otsu's threshold may be:
    /// glass scatters up to 0.02, faint stroma begins near 0.05.
    static let densityRange: ClosedRange<Float> = 0.025...0.06

    /// Tissue as the user says.
    ///
    /// - Throws: ``SlideError`` where the slide cannot be read, or the outlines cannot be used for it.
    public init(slide: Slide, scale: SlideScale, source: TissueSource) throws(SlideError) {
        switch source {
        case .automatic: try self.init(slide: slide, scale: scale)
        case .everywhere:
            self.init(
                frame: try TissueMask.frame(slide: slide, scale: scale),
                outlines: OutlinedArea(width: slide.width, height: slide.height))
        case .outlines(let file):
            let frame = try TissueMask.frame(slide: slide, scale: scale)
            switch try TissueOutlines.drawing(file, slide: slide, frame: frame) {
            case .area(let area): self.init(frame: frame, outlines: area)
            case .mask(let mask): self.init(frame: frame, mask: mask, outlines: nil)
            }
        }
    }

    private init(frame: WorkingFrame, outlines: OutlinedArea) {
        var mask = Plane(width: frame.width, height: frame.height, repeating: false)
        let side = frame.level0PerPixel
        for y in 0..<mask.height {
            let areas = outlines.areas(
                ofSquaresAtRow: frame.level0(Double(y)), height: side, side: side, count: mask.width)
            for x in 0..<mask.width where areas[x] > 0 { mask[x, y] = true }
        }
        self.init(frame: frame, mask: mask, outlines: outlines)
    }

    private init(frame: WorkingFrame, mask: Plane<Bool>, outlines: OutlinedArea?) {
        self.frame = frame
        self.mask = mask
        self.outlines = outlines
        isFound = false
    }

    /// The grid of a mask: no finer than the slide, and of no more than 2^26 pixels, since a header may promise any size.
    private static func frame(slide: Slide, scale: SlideScale) throws(SlideError) -> WorkingFrame {
        let pixels = Double(slide.width) * Double(slide.height)
        let finest = scale.micronsPerPixel * max(1, (pixels / Double(1 << 26)).squareRoot())
        return try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: max(TissueMask.resolution, finest))
    }

    /// Finds tissue by its optical density. A part that cannot be read counts as tissue, so that it is tried, and missed,
    /// by name.
    ///
    /// - Throws: ``SlideError`` where nothing of the slide can be read.
    public init(slide: Slide, scale: SlideScale) throws(SlideError) {
        frame = try TissueMask.frame(slide: slide, scale: scale)
        let reader = WorkingReader(slide: slide, frame: frame)
        var density = Plane<UInt16>(width: frame.width, height: frame.height, repeating: 0)
        // Blocks of at most 4096 level-0 pixels a side: 64 MB, whatever the slide.
        let block = max(1, min(128, Int(4096 / frame.level0PerPixel)))
        var isReadable = false
        var failure: SlideError?
        for y in stride(from: 0, to: frame.height, by: block) {
            for x in stride(from: 0, to: frame.width, by: block) {
                let (width, height) = (min(block, frame.width - x), min(block, frame.height - y))
                let image: RGBImage
                do {
                    image = try reader.read(x: x, y: y, width: width, height: height)
                    isReadable = true
                } catch {
                    failure = error
                    image = RGBImage(width: width, height: height, filledWith: (128, 128, 128))
                }
                for row in 0..<image.height {
                    for column in 0..<image.width {
                        density[x + column, y + row] = UInt16(
                            TissueMask.density(image[column, row]) * TissueMask.densitySteps + 0.5)
                    }
                }
            }
        }
        if let failure, !isReadable { throw failure }
        let threshold = min(
            TissueMask.densityRange.upperBound,
            max(TissueMask.densityRange.lowerBound, TissueMask.otsuThreshold(density.values)))
        mask = TissueMask.smoothed(density, above: threshold)
        outlines = nil
        isFound = true
    }

    /// Densities are kept in so many steps an OD: floats of a large slide would be the largest buffer of its segmentation.
    private static let densitySteps: Float = 16_384

    /// Where the density, smoothed by a Gaussian of one pixel, is above a threshold; a strip at a time.
    private static func smoothed(_ density: Plane<UInt16>, above threshold: Float) -> Plane<Bool> {
        var mask: [Bool] = []
        mask.reserveCapacity(density.values.count)
        let (strip, margin) = (256, 3)
        for y in stride(from: 0, to: density.height, by: strip) {
            let own = y..<min(y + strip, density.height)
            // With the rows that the Gaussian reaches; at the slide's own edges it is mirrored.
            let read = max(0, own.lowerBound - margin)..<min(density.height, own.upperBound + margin)
            let values = density.values[(read.lowerBound * density.width)..<(read.upperBound * density.width)]
            let part = Plane(width: density.width, height: read.count, values: values.map { Float($0) / densitySteps })
                .blurred(sigma: 1)
            let first = (own.lowerBound - read.lowerBound) * density.width
            mask += part.values[first..<(first + own.count * density.width)].map { $0 > threshold }
        }
        return Plane(width: density.width, height: density.height, values: mask)
    }

    private static let densityTable: [Float] = ColorDeconvolution.opticalDensityTable

    private static func density(_ color: (UInt8, UInt8, UInt8)) -> Float {
        (densityTable[Int(color.0)] + densityTable[Int(color.1)] + densityTable[Int(color.2)]) / 3
    }

    /// The threshold between two classes of densities up to 1 that maximises the variance between them.
    private static func otsuThreshold(_ values: [UInt16]) -> Float {
        var histogram = [Double](repeating: 0, count: 256)
        for value in values { histogram[min(255, Int(Float(value) / densitySteps * 255))] += 1 }
        let total = Double(values.count)
        let sum = histogram.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element }
        var (weight, partial, best, threshold) = (0.0, 0.0, -1.0, 0)
        for (value, count) in histogram.enumerated() {
            weight += count
            partial += Double(value) * count
            guard weight > 0, weight < total else { continue }
            let difference = partial / weight - (sum - partial) / (total - weight)
            let between = weight * (total - weight) * difference * difference
            if between > best { (best, threshold) = (between, value) }
        }
        return (Float(threshold) + 0.5) / 255
    }

    /// Whether a cell with its centre here counts to the tissue; level-0 px.
    public func contains(level0X x: Double, level0Y y: Double) -> Bool {
        if let outlines { return outlines.contains(x: x, y: y) }
        let margin = isFound ? TissueMask.foundMargin / frame.micronsPerPixel : 0
        let (column, row) = (frame.working(x), frame.working(y))
        guard column >= 0, row >= 0 else { return false }
        let (left, top) = (Int(column), Int(row))
        guard left < mask.width, top < mask.height else { return false }
        if mask[left, top] { return true }
        guard margin > 0 else { return false }
        // The distance to the nearest edge of a pixel of tissue.
        let reach = Int(margin.rounded(.up))
        for y in max(0, top - reach)...min(mask.height - 1, top + reach) {
            for x in max(0, left - reach)...min(mask.width - 1, left + reach) where mask[x, y] {
                let dx = max(Double(x) - column, column - Double(x + 1), 0)
                let dy = max(Double(y) - row, row - Double(y + 1), 0)
                if dx * dx + dy * dy <= margin * margin { return true }
            }
        }
        return false
    }

    /// The squares of working pixels, `side` wide, that hold tissue, and those in which the network is asked so that cells at
    /// the tissue's edge are seen with their surroundings. They do not depend on how the slide is cut into tiles.
    public func ground(_ working: WorkingFrame, side: Int) -> Ground {
        let (columns, rows) = ((working.width + side - 1) / side, (working.height + side - 1) / side)
        let scale = working.level0PerPixel / frame.level0PerPixel
        let surroundings =
            (isFound ? TissueMask.foundSurroundings : TissueMask.drawnSurroundings) / frame.micronsPerPixel
        // How many pixels of the mask before each place of a row are tissue.
        let sums = (0..<mask.height).map { y in
            var sum = Int32(0)
            return [Int32(0)]
                + (0..<mask.width).map { x in
                    sum += mask[x, y] ? 1 : 0
                    return sum
                }
        }
        func holds(_ column: Int, _ row: Int, _ around: Double) -> Bool {
            func range(_ index: Int, _ limit: Int) -> Range<Int> {
                let first = max(0, Int(Double(index * side) * scale - around))
                return first..<max(first, min(limit, Int((Double((index + 1) * side) * scale + around).rounded(.up))))
            }
            let (xs, ys) = (range(column, mask.width), range(row, mask.height))
            guard !xs.isEmpty else { return false }
            return ys.contains { sums[$0][xs.upperBound] > sums[$0][xs.lowerBound] }
        }
        var tissue = Plane(width: columns, height: rows, repeating: false)
        var looked = tissue
        for row in 0..<rows {
            for column in 0..<columns {
                looked[column, row] = holds(column, row, surroundings)
                tissue[column, row] = looked[column, row] && holds(column, row, 0)
            }
        }
        return Ground(side: side, tissue: tissue, looked: looked, isFound: isFound)
    }

    /// The area of the tissue in mm².
    public var areaSquareMillimeters: Double {
        if outlines != nil {
            return areaSquareMillimeters(
                level0X: 0, level0Y: 0, width: frame.level0(Double(frame.width)),
                height: frame.level0(Double(frame.height)))
        }
        return Double(mask.values.reduce(0) { $0 + ($1 ? 1 : 0) }) * frame.micronsPerPixel * frame.micronsPerPixel / 1e6
    }

    /// The area of the tissue in a rectangle in level-0 pixels, mm². Rectangles side by side share nothing.
    public func areaSquareMillimeters(level0X: Double, level0Y: Double, width: Double, height: Double) -> Double {
        if let outlines {
            let micronsPerPixel = frame.micronsPerPixel / frame.level0PerPixel
            return outlines.area(x: level0X, y: level0Y, width: width, height: height)
                * micronsPerPixel * micronsPerPixel / 1e6
        }
        func range(_ from: Double, _ length: Double, _ limit: Int) -> Range<Int> {
            // A pixel belongs to the rectangle that holds its centre.
            let first = max(0, min(limit, Int((frame.working(from) - 0.5).rounded(.up))))
            return first..<max(first, min(limit, Int((frame.working(from + length) - 0.5).rounded(.up))))
        }
        var count = 0
        for y in range(level0Y, height, mask.height) {
            for x in range(level0X, width, mask.width) where mask[x, y] { count += 1 }
        }
        return Double(count) * frame.micronsPerPixel * frame.micronsPerPixel / 1e6
    }

    /// A place on the tissue, level-0 px, each as likely as any other; the slide's middle where there is no tissue.
    public func place(using generator: inout some RandomNumberGenerator) -> (x: Double, y: Double) {
        var chosen = mask.values.count / 2 + mask.width / 2
        // Tissue is a tenth of most slides; a slide that is nearly empty is looked through.
        let isFound = (0..<1000).contains { _ in
            chosen = Int.random(in: 0..<max(1, mask.values.count), using: &generator)
            return mask.values.indices.contains(chosen) && mask.values[chosen]
        }
        if !isFound {
            let tissue = mask.values.indices.filter { mask.values[$0] }
            chosen = tissue.randomElement(using: &generator) ?? chosen
        }
        return (
            frame.level0(Double(chosen % mask.width) + Double.random(in: 0..<1, using: &generator)),
            frame.level0(Double(chosen / mask.width) + Double.random(in: 0..<1, using: &generator))
        )
    }

    /// The share of a rectangle in level-0 pixels that is tissue.
    public func tissueFraction(level0X: Double, level0Y: Double, width: Double, height: Double) -> Double {
        let x0 = max(0, Int(frame.working(level0X).rounded(.down)))
        let y0 = max(0, Int(frame.working(level0Y).rounded(.down)))
        let x1 = min(mask.width, max(x0 + 1, Int(frame.working(level0X + width).rounded(.up))))
        let y1 = min(mask.height, max(y0 + 1, Int(frame.working(level0Y + height).rounded(.up))))
        guard x0 < x1, y0 < y1 else { return 0 }
        var count = 0
        for y in y0..<y1 { for x in x0..<x1 where mask[x, y] { count += 1 } }
        return Double(count) / Double((x1 - x0) * (y1 - y0))
    }
}
