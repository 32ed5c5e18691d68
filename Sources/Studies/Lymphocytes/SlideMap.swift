internal import BatchWork
internal import Failures
internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import TiledPrediction
internal import WholeSlide

/// A model's output on a whole small slide, to be scored pixel by pixel and nucleus by nucleus.
///
/// It holds every pixel at once, so it is for experiments on slides of some tens of megapixels only.
struct SlideMap {
    let frame: WorkingFrame
    let logOdds: Plane<Float>
    let hematoxylin: Plane<Float>
    /// Pixels of tiles with tissue; nothing is known elsewhere.
    let covered: Plane<Bool>

    /// The most working pixels of a slide.
    private static let mostPixels = 100_000_000

    init(slide url: URL, model: SegmentationModel) throws {
        let slide = try Slide(url)
        let scale = try slide.scale(given: nil)
        frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: model.micronsPerPixel)
        guard frame.width * frame.height <= SlideMap.mostPixels else {
            throw InputError(.unusable, "\(url.path) is too large to be held whole: experiments are for small slides")
        }
        let grid = TileGrid(frame: frame, side: 512, tissue: try TissueMask(slide: slide, scale: scale))
        let tiles = TilePredictor(WorkingReader(slide: slide, frame: frame), model: model)
        var logOdds = Plane<Float>(width: frame.width, height: frame.height, repeating: 0)
        var hematoxylin = logOdds
        var covered = Plane(width: frame.width, height: frame.height, repeating: false)
        for tile in grid.rows.joined() {
            let output = try tiles.output(of: tile)
            let found = output.logOdds
            for y in 0..<tile.height {
                for x in 0..<tile.width {
                    logOdds[tile.x + x, tile.y + y] = found[x, y]
                    hematoxylin[tile.x + x, tile.y + y] = output.detail.hematoxylin[x, y]
                    covered[tile.x + x, tile.y + y] = true
                }
            }
        }
        (self.logOdds, self.hematoxylin, self.covered) = (logOdds, hematoxylin, covered)
    }

    /// AUC over pixels, and the intersection over union at a threshold.
    func pixelMetrics(mask: FineMask, threshold: Double) -> (auc: Double, intersectionOverUnion: Double) {
        // Log-odds from −32 to 32 in steps of 1/64; beyond, order no longer matters.
        let (most, steps): (Float, Float) = (32, 64)
        let bins = Int(2 * most * steps) + 1
        var positive = [Double](repeating: 0, count: bins)
        var negative = positive
        let limit = Float(log(threshold / (1 - threshold)))
        var (both, either) = (0.0, 0.0)
        for y in 0..<frame.height {
            for x in 0..<frame.width where covered[x, y] {
                guard
                    let truth = mask.isLymphocyte(
                        level0X: frame.level0(Double(x) + 0.5), level0Y: frame.level0(Double(y) + 0.5))
                else { continue }
                let value = logOdds[x, y]
                let bin = Int(((max(-most, min(most, value)) + most) * steps).rounded())
                if truth { positive[bin] += 1 } else { negative[bin] += 1 }
                let found = value >= limit
                if truth && found { both += 1 }
                if truth || found { either += 1 }
            }
        }
        let (p, n) = (positive.reduce(0, +), negative.reduce(0, +))
        var (below, area) = (0.0, 0.0)
        for bin in 0..<bins {
            area += positive[bin] * (below + negative[bin] / 2)
            below += negative[bin]
        }
        return (p > 0 && n > 0 ? area / (p * n) : 0.5, either > 0 ? both / either : 0)
    }

    /// Mean over a disc of 2.5 µm around each place (level-0 px), of the log-odds and of haematoxylin.
    func discMeans(at places: [CellEvaluation.Point]) -> [(logOdds: Double, hematoxylin: Double)] {
        let radius = PatchEvaluation.discRadius / frame.micronsPerPixel
        let reach = Int(radius.rounded(.up))
        return places.map { place in
            let (cx, cy) = (frame.working(place.x), frame.working(place.y))
            var (sum, dark, count) = (0.0, 0.0, 0.0)
            let rows = (Int(cy) - reach..<Int(cy) + reach + 1).clamped(to: 0..<frame.height)
            let columns = (Int(cx) - reach..<Int(cx) + reach + 1).clamped(to: 0..<frame.width)
            for y in rows {
                for x in columns {
                    let (dx, dy) = (Double(x) + 0.5 - cx, Double(y) + 0.5 - cy)
                    guard dx * dx + dy * dy <= radius * radius else { continue }
                    sum += Double(logOdds[x, y])
                    dark += Double(hematoxylin[x, y])
                    count += 1
                }
            }
            return (sum / max(1, count), dark / max(1, count))
        }
    }
}

/// AUC over all true nuclei of a slide, and over pairs of equally dark ones.
struct NucleusMetrics {
    let all: AreaUnderCurve
    let hard: AreaUnderCurve
    let darkness: AreaUnderCurve

    /// A lymphocyte's partner differs from it by no more haematoxylin than this, as in the `-hard` patch sets.
    private static let likeness = 0.02
    private static let mostPairs = 600

    /// - Parameters:
    ///   - lymphocytes, others: centroids in level-0 px.
    init(map: SlideMap, lymphocytes: [CellEvaluation.Point], others: [CellEvaluation.Point], seed: UInt64) throws {
        let positives = map.discMeans(at: lymphocytes)
        let negatives = map.discMeans(at: others)
        let truth = positives.map { _ in true } + negatives.map { _ in false }
        let everything = positives + negatives
        all = try AreaUnderCurve(scores: everything.map(\.logOdds), isPositive: truth)
        darkness = try AreaUnderCurve(scores: everything.map(\.hematoxylin), isPositive: truth)
        // Each lymphocyte takes the unused other that is nearest in darkness.
        var generator = SeededGenerator(seed: seed)
        var rest = negatives.sorted { $0.hematoxylin < $1.hematoxylin }
        var scores: [Double] = []
        var isPositive: [Bool] = []
        for cell in positives.shuffled(using: &generator) where isPositive.count < 2 * NucleusMetrics.mostPairs {
            var (low, high) = (0, rest.count)
            while low < high {
                let middle = (low + high) / 2
                if rest[middle].hematoxylin < cell.hematoxylin { low = middle + 1 } else { high = middle }
            }
            let candidates = [low - 1, low].filter { rest.indices.contains($0) }
            let nearest = candidates.min {
                abs(rest[$0].hematoxylin - cell.hematoxylin) < abs(rest[$1].hematoxylin - cell.hematoxylin)
            }
            guard let nearest, abs(rest[nearest].hematoxylin - cell.hematoxylin) <= NucleusMetrics.likeness else {
                continue
            }
            scores += [cell.logOdds, rest.remove(at: nearest).logOdds]
            isPositive += [true, false]
        }
        hard = try AreaUnderCurve(scores: scores, isPositive: isPositive)
    }
}
