internal import Foundation
public import Raster
public import ResultStore
public import WholeSlide

/// Makes cells of connected components: cuts touching nuclei apart, fills holes, outlines and measures.
public struct CellOutliner: Sendable {
    public let frame: WorkingFrame
    /// Parts smaller than this are no cells, µm².
    public var leastArea: Double
    /// How far the middle of a nucleus must rise above the neck between it and the next, µm, to be cut off.
    public var splitDepth: Double

    /// A quarter of the smallest lymphocyte's cross-section (7 µm across: 38 µm²).
    public static let defaultLeastArea = 10.0
    /// Found on phantoms; see docs/decisions.md.
    public static let defaultSplitDepth = 0.3
    /// So many µm of distance from the outline count as much as one OD of haematoxylin where touching nuclei are cut apart, and
    /// the standard deviation in µm by which both are smoothed. Found on CoNSeP slide a; see docs/decisions.md.
    static let hematoxylinHeight = 4.0
    static let reliefSmoothing = 0.75
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

    /// The settings that decide which cells are made of a given output.
    static let settings =
        "least area \(defaultLeastArea) split depth \(defaultSplitDepth) relief \(hematoxylinHeight) \(reliefSmoothing) steepest"

    /// The cells of a component whose first value is the probability · 255 and whose second is haematoxylin OD · 100.
    public func cells(of component: PixelComponent) -> [CellRecord] {
        let leastPixels = leastArea / (frame.micronsPerPixel * frame.micronsPerPixel)
        guard Double(component.pixelCount) >= leastPixels else { return [] }
        let left = component.runs.map { Int($0.columns.lowerBound) }.min() ?? 0
        let right = component.runs.map { Int($0.columns.upperBound) }.max() ?? 0
        let top = component.runs.map { Int($0.row) }.min() ?? 0
        let bottom = component.runs.map { Int($0.row) }.max() ?? 0
        let (width, height) = (right - left, bottom - top + 1)
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
        return parts(of: mask, hematoxylin: hematoxylin).compactMap { part in
            // Pixels inside holes count to the area, not to the means.
            let filled = part.mask.withoutHoles()
            let pixels = filled.values.reduce(0) { $0 + ($1 ? 1 : 0) }
            guard Double(pixels) >= leastPixels else { return nil }
            return record(
                filled, measured: part.mask, x: part.x, y: part.y, left: left, top: top, pixels: pixels,
                probability: probability, hematoxylin: hematoxylin)
        }
    }

    /// A part of a component, cropped to its bounds; (x, y) is its place in the component.
    private struct Part {
        let mask: Plane<Bool>
        let x: Int
        let y: Int
    }

    private func parts(of mask: Plane<Bool>, hematoxylin: Plane<UInt8>) -> [Part] {
        let (labels, count) = Watershed.catchments(
            of: relief(of: mask, hematoxylin: hematoxylin), in: mask,
            dynamics: Float(splitDepth / frame.micronsPerPixel))
        guard count > 0 else { return [] }
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
    /// nuclei where the outline has no neck.
    private func relief(of mask: Plane<Bool>, hematoxylin: Plane<UInt8>) -> Plane<Float> {
        var relief = mask.withoutHoles().distanceToBackground()
        let height = Float(CellOutliner.hematoxylinHeight / frame.micronsPerPixel) / CellOutliner.hematoxylinSteps
        for i in mask.values.indices where mask.values[i] {
            relief.values[i] += height * Float(hematoxylin.values[i])
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
            meanProbability: sumProbability / count / 255,
            meanHematoxylin: sumHematoxylin / count / Double(CellOutliner.hematoxylinSteps),
            bounds: (
                frame.level0(Double(maskX)), frame.level0(Double(maskX + mask.width)), frame.level0(Double(maskY)),
                frame.level0(Double(maskY + mask.height))
            ), polygon: polygon.wellKnownBinary, maskX: maskX, maskY: maskY, maskWidth: mask.width,
            maskHeight: mask.height, mask: RunLengthMask(mask).compressed)
    }
}
