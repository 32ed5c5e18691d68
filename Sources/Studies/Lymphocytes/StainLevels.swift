internal import BatchWork
internal import Failures
internal import Foundation
internal import Lymphocytes
internal import Raster
internal import TiledPrediction
internal import WholeSlide

/// How strongly a slide is stained: the 99th percentiles of its stains' concentrations over tissue.
struct StainLevels {
    var hematoxylin: Double
    var eosin: Double

    /// Below this sum of concentrations a pixel is taken for glass.
    private static let leastDensity: Float = 0.15
    private static let (most, steps): (Float, Float) = (2.5, 400)

    /// Reads all tissue of a slide at the working scale: for small slides.
    init(slide url: URL, micronsPerPixel: Double) throws {
        let slide = try Slide(url)
        let scale = try slide.scale(given: nil)
        let frame = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: micronsPerPixel)
        let reader = WorkingReader(slide: slide, frame: frame)
        let grid = TileGrid(frame: frame, side: 512, tissue: try TissueMask(slide: slide, scale: scale))
        let bins = Int(StainLevels.most * StainLevels.steps) + 1
        var counts = [[Double]](repeating: [Double](repeating: 0, count: bins), count: 2)
        for tile in grid.rows.joined() {
            let image = try reader.read(x: tile.x, y: tile.y, width: tile.width, height: tile.height)
            let stains = ColorDeconvolution.hematoxylinEosin.separated(image)
            for (h, e) in zip(stains.hematoxylin.values, stains.eosin.values) where h + e > StainLevels.leastDensity {
                for (stain, value) in [h, e].enumerated() {
                    counts[stain][Int(max(0, min(StainLevels.most, value)) * StainLevels.steps)] += 1
                }
            }
        }
        func percentile(_ histogram: [Double]) -> Double {
            let wanted = histogram.reduce(0, +) * 0.99
            var sum = 0.0
            for (bin, count) in histogram.enumerated() {
                sum += count
                if sum >= wanted { return (Double(bin) + 0.5) / Double(StainLevels.steps) }
            }
            return 0
        }
        (hematoxylin, eosin) = (percentile(counts[0]), percentile(counts[1]))
        guard hematoxylin > 0, eosin > 0, counts[0].contains(where: { $0 > 0 }) else {
            throw InputError(.unusable, "\(url.path) has no stained tissue")
        }
    }
}
