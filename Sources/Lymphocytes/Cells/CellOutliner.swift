internal import Foundation
public import Raster
public import ResultStore
public import WholeSlide

/// Makes cells of connected components: cuts touching nuclei apart, fills holes, outlines and measures.
public struct CellOutliner: Sendable {
    public let frame: WorkingFrame
    /// Parts smaller than this are no cells, µm².
    public var leastArea: Double
    /// How far the middle of a nucleus must rise above the pass between it and the next, in µm of distance from the outline and
    /// of what haematoxylin adds, to be cut off.
    public var splitDepth: Double

    /// A quarter of the smallest lymphocyte's cross-section (7 µm across: 38 µm²).
    public static let defaultLeastArea = 10.0
    /// Found on CoNSeP slide a; see docs/decisions.md.
    public static let defaultSplitDepth = 0.3
    /// µm of distance from the outline that count as much as one OD of haematoxylin where touching nuclei are cut apart; likewise.
    static let hematoxylinHeight = 4.0
    /// The standard deviation by which distance and haematoxylin are smoothed, µm; likewise.
    static let reliefSmoothing = 0.75
    /// Holes of at most so many µm² are noise; three nuclei that touch enclose more.
    static let mostNoiseArea = 0.5
    /// Holes of at most so many µm² within a cell are its pale middle: a quarter of the smallest nucleus.
    static let mostMiddleArea = 10.0
    /// Components with a larger rectangle, 2 mm² at 0.5 µm, are cut into windows: their images would take memory with the slide.
    static let mostImagePixels = 8_000_000
    static let windowSide = 2048
    /// Haematoxylin OD is kept in steps of 1/100, from 0 to 2.55.
    static let hematoxylinSteps: Float = 100

    public init(
        frame: WorkingFrame, leastArea: Double = CellOutliner.defaultLeastArea,
        splitDepth: Double = CellOutliner.defaultSplitDepth
    ) {
        self.frame = frame
        self.leastArea = leastArea
        self.splitDepth = splitDepth
    }

    /// What decides which cells are made of a given output: change it with the code, so that runs and results begun before
    /// are not gone on with.
    package static func settings(leastArea: Double = defaultLeastArea, splitDepth: Double = defaultSplitDepth) -> String
    {
        "least-area=\(leastArea) split-depth=\(splitDepth) relief=\(hematoxylinHeight),\(reliefSmoothing) "
            + "holes=\(mostNoiseArea),\(mostMiddleArea) most=\(StreamingComponents.mostPixels),\(mostImagePixels)"
    }

    /// The cells of a component whose first value is the probability · 255 and whose second is haematoxylin OD · 100.
    public func cells(of component: PixelComponent) -> [CellRecord] {
        guard Double(component.pixelCount) >= pixels(leastArea) else { return [] }
        let (columns, rows) = component.bounds
        guard columns.count * rows.count > CellOutliner.mostImagePixels else {
            return cells(ofImage: component, isConnected: true)
        }
        // A window may hold pieces that meet at a corner only.
        return component.windows(side: CellOutliner.windowSide).flatMap { cells(ofImage: $0, isConnected: false) }
    }

    /// How many pixels so many µm² are.
    private func pixels(_ area: Double) -> Double { area / (frame.micronsPerPixel * frame.micronsPerPixel) }

    private func cells(ofImage component: PixelComponent, isConnected: Bool) -> [CellRecord] {
        let (columns, rows) = component.bounds
        let (left, top) = (Int(columns.lowerBound), Int(rows.lowerBound))
        let (width, height) = (columns.count, rows.count)
        var mask = Plane(width: width, height: height, repeating: false)
        var probability = Plane<UInt8>(width: width, height: height, repeating: 0)
        var hematoxylin = probability
        for run in component.runs {
            var offset = Int(run.offset)
            for x in run.columns {
                let i = (Int(run.row) - top) * width + Int(x) - left
                mask.values[i] = true
                probability.values[i] = component.values[offset]
                hematoxylin.values[i] = component.values[offset + 1]
                offset += 2
            }
        }
        return parts(of: mask, hematoxylin: hematoxylin, isConnected: isConnected).compactMap { part in
            let filled = part.mask.withoutHoles(ofAtMost: Int(pixels(CellOutliner.mostMiddleArea)))
            let count = filled.values.reduce(0) { $0 + ($1 ? 1 : 0) }
            guard Double(count) >= pixels(leastArea) else { return nil }
            // Pixels inside holes count to the area, not to the means.
            var measured = part.mask
            for y in 0..<measured.height {
                for x in 0..<measured.width where !mask[part.x + x, part.y + y] { measured[x, y] = false }
            }
            return record(
                filled, measured: measured, x: part.x, y: part.y, left: left, top: top, pixels: count,
                probability: probability, hematoxylin: hematoxylin)
        }
    }

    /// A part of a component, cropped to its bounds; (x, y) is its place in the component.
    private struct Part {
        let mask: Plane<Bool>
        let x: Int
        let y: Int
    }

    private func parts(of mask: Plane<Bool>, hematoxylin: Plane<UInt8>, isConnected: Bool) -> [Part] {
        // A pixel or two without an answer are no gap between nuclei.
        let filled = mask.withoutHoles(ofAtMost: Int(pixels(CellOutliner.mostNoiseArea)))
        let (labels, count) = Watershed.catchments(
            of: relief(of: filled, known: mask, hematoxylin: hematoxylin), in: filled,
            dynamics: Float(splitDepth / frame.micronsPerPixel))
        if count == 1, isConnected { return [Part(mask: filled, x: 0, y: 0)] }
        var bounds = [(Int, Int, Int, Int)](repeating: (Int.max, Int.max, -1, -1), count: count)
        for y in 0..<mask.height {
            for x in 0..<mask.width where labels[x, y] > 0 {
                let i = Int(labels[x, y]) - 1
                let old = bounds[i]
                bounds[i] = (min(old.0, x), min(old.1, y), max(old.2, x), max(old.3, y))
            }
        }
        return bounds.enumerated().map { index, box in
            var part = Plane(width: box.2 - box.0 + 1, height: box.3 - box.1 + 1, repeating: false)
            for y in box.1...box.3 {
                for x in box.0...box.2 where Int(labels[x, y]) == index + 1 { part[x - box.0, y - box.1] = true }
            }
            // What was left of a part may be smaller than its bounds were.
            let (mask, x, y) = part.largestComponent().trimmed()
            return Part(mask: mask, x: box.0 + x, y: box.1 + y)
        }
    }

    /// What nuclei rise from, in pixels: the distance to the outline, and haematoxylin, which shows the gap between two
    /// nuclei where the outline has no neck; both smoothed.
    ///
    /// Where haematoxylin is not known, outside the outline and in holes, its mean over the component stands for it: 0 would
    /// deepen the necks of dark nuclei and cut others at small holes.
    private func relief(of filled: Plane<Bool>, known: Plane<Bool>, hematoxylin: Plane<UInt8>) -> Plane<Float> {
        let height = Float(CellOutliner.hematoxylinHeight / frame.micronsPerPixel) / CellOutliner.hematoxylinSteps
        var (sum, count) = (0, 0)
        for i in known.values.indices where known.values[i] {
            sum += Int(hematoxylin.values[i])
            count += 1
        }
        let mean = Float(sum) / Float(max(1, count))
        var relief = filled.distanceToBackground()
        for i in relief.values.indices {
            relief.values[i] += height * (known.values[i] ? Float(hematoxylin.values[i]) : mean)
        }
        return relief.blurred(sigma: CellOutliner.reliefSmoothing / frame.micronsPerPixel)
    }

    private func record(
        _ mask: Plane<Bool>, measured: Plane<Bool>, x: Int, y: Int, left: Int, top: Int, pixels: Int,
        probability: Plane<UInt8>, hematoxylin: Plane<UInt8>
    ) -> CellRecord? {
        guard let outline = mask.outline() else { return nil }
        var (sumX, sumY, sumProbability, sumHematoxylin, count) = (0.0, 0.0, 0.0, 0.0, 0.0)
        for row in 0..<mask.height {
            for column in 0..<mask.width {
                if mask[column, row] {
                    sumX += Double(column) + 0.5
                    sumY += Double(row) + 0.5
                }
                if measured[column, row] {
                    sumProbability += Double(probability[x + column, y + row])
                    sumHematoxylin += Double(hematoxylin[x + column, y + row])
                    count += 1
                }
            }
        }
        let (maskX, maskY) = (left + x, top + y)
        let scale = frame.level0PerPixel
        let polygon = outline.placed(
            scale: scale, offsetX: frame.level0(Double(maskX)), offsetY: frame.level0(Double(maskY)))
        let mpp = frame.micronsPerPixel
        let area = Double(pixels) * mpp * mpp
        let perimeter = outline.perimeter * mpp
        return CellRecord(
            centroidX: frame.level0(Double(maskX) + sumX / Double(pixels)),
            centroidY: frame.level0(Double(maskY) + sumY / Double(pixels)), areaSquareMicrons: area,
            perimeterMicrons: perimeter, circularity: min(1, 4 * .pi * area / (perimeter * perimeter)),
            meanProbability: sumProbability / max(1, count) / 255,
            meanHematoxylin: sumHematoxylin / max(1, count) / Double(CellOutliner.hematoxylinSteps),
            bounds: (
                frame.level0(Double(maskX)), frame.level0(Double(maskX + mask.width)), frame.level0(Double(maskY)),
                frame.level0(Double(maskY + mask.height))
            ), polygon: polygon.wellKnownBinary, maskX: maskX, maskY: maskY, maskWidth: mask.width,
            maskHeight: mask.height, mask: RunLengthMask(mask).compressed)
    }
}
