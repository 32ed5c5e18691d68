internal import BatchWork
internal import Failures
public import Foundation
public import LabelSuperResolution
internal import Raster
internal import WholeSlide

/// Priors from fine masks: the true fraction of lymphocyte pixels in each coarse region.
public enum MaskPriors {
    /// Reads, for every heatmap, the mask `<slide>*.png` or `.tif` at level 0 (non-zero = lymphocyte).
    ///
    /// - Parameter only: names of the slides to use; empty for all.
    /// - Throws: where no mask has a heatmap, a mask does not cover its heatmap, or a class does not occur.
    public static func read(
        masks: URL, heatmaps: URL, only: Set<String> = [], classes: ProbabilityClasses = ProbabilityClasses()
    ) throws -> LabelPriors {
        var fractions = [[Double]](repeating: [], count: classes.count)
        var used = 0
        for url in try FineMask.files(in: masks) {
            let names = FineMask.slideNames(of: url).filter { only.isEmpty || only.contains($0) }
            var found: URL?
            for name in names where found == nil {
                found = try FilePairing(SlideFile(masks.appendingPathComponent("\(name).svs")), in: heatmaps).heatmap()
            }
            guard let file = found else { continue }
            used += 1
            let mask = try FineMask.pixels(url)
            let heatmap = try Heatmap(file)
            let side = Int(heatmap.level0Side.rounded())
            guard side >= 1 else {
                throw InputError(.unusable, "heatmap \(file.path) has regions smaller than a pixel")
            }
            for region in heatmap.regions {
                let (x, y) = (Int(region.level0X.rounded()), Int(region.level0Y.rounded()))
                guard x >= 0, y >= 0, x + side <= mask.width, y + side <= mask.height else {
                    throw InputError(
                        .unusable,
                        "mask \(url.lastPathComponent) has \(mask.width)×\(mask.height) px, but its heatmap has a region at (\(x), \(y)): masks must "
                            + "be at level 0")
                }
                var count = 0
                for row in y..<(y + side) { for column in x..<(x + side) where mask[column, row] != 0 { count += 1 } }
                fractions[classes.index(of: region.probability)].append(Double(count) / Double(side * side))
            }
        }
        guard used > 0 else {
            throw InputError(.unusable, "no mask in \(masks.path) has a heatmap in \(heatmaps.path)")
        }
        return try LabelPriors.fromFractions(fractions, label: "lymphocyte")
    }
}
