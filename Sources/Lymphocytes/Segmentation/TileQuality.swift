internal import Raster

/// Whether a tile shows tissue that can be counted in: pen, folds and blur are seen in its pixels.
struct TileQuality: Sendable, Equatable {
    /// Shares of the tile's pixels.
    let tissue: Double
    /// Green, blue or black ink. Red ink cannot be told from blood.
    let pen: Double
    /// Tissue so dark over 16 µm that it lies on itself.
    let fold: Double
    /// Mean contrast of neighbouring pixels in tissue, in units of the contrast of the tissue as a whole; nil where there
    /// is hardly any tissue.
    let sharpness: Double?

    /// What is wrong with the tile; nil where nothing is.
    var flag: String? {
        if pen > TileQuality.mostPen { return "pen" }
        if fold > TileQuality.mostFold * max(tissue, 0.01) { return "fold" }
        if let sharpness, sharpness < TileQuality.leastSharpness { return "blur" }
        return nil
    }

    /// Shares of a tile that are still let pass, and the sharpness below which nuclei have no edges.
    static let mostPen = 0.05
    static let mostFold = 0.3
    static let leastSharpness = 0.1
    /// Mean optical density over 16 µm: dense lymphoid tissue has about 0.45.
    private static let foldDensity: Float = 0.7

    /// Every fourth pixel of every fourth row tells enough.
    private static let step = 4

    init(_ image: RGBImage, micronsPerPixel: Double) {
        let table = ColorDeconvolution.opticalDensityTable
        let side = max(1, Int(16 / micronsPerPixel))
        let columns = (image.width + side - 1) / side
        var blocks = [(sum: Float, count: Int)](
            repeating: (0, 0), count: columns * ((image.height + side - 1) / side))
        var (samples, tissuePixels, penPixels) = (0, 0, 0)
        var (contrast, sum, square) = (0.0, 0.0, 0.0)
        image.pixels.withUnsafeBufferPointer { pixels in
            for y in stride(from: 0, to: image.height - 1, by: TileQuality.step) {
                for x in stride(from: 0, to: image.width - 1, by: TileQuality.step) {
                    let i = 3 * (y * image.width + x)
                    let (r, g, b) = (Int(pixels[i]), Int(pixels[i + 1]), Int(pixels[i + 2]))
                    samples += 1
                    let (low, high) = (min(r, g, b), max(r, g, b))
                    // Haematoxylin and eosin both take most of green; what leaves green and takes red is ink. So is black.
                    if (g > r + 20 && high - low > 30) || (high < 60 && high - low < 20) { penPixels += 1 }
                    let density = (table[r] + table[g] + table[b]) / 3
                    let block = y / side * columns + x / side
                    blocks[block] = (blocks[block].sum + density, blocks[block].count + 1)
                    guard density > 0.05 else { continue }
                    tissuePixels += 1
                    let here = Double(r + g + b)
                    let right = Double(Int(pixels[i + 3]) + Int(pixels[i + 4]) + Int(pixels[i + 5]))
                    let j = i + 3 * image.width
                    let below = Double(Int(pixels[j]) + Int(pixels[j + 1]) + Int(pixels[j + 2]))
                    contrast += abs(here - right) + abs(here - below)
                    sum += here
                    square += here * here
                }
            }
        }
        let total = Double(max(1, samples))
        tissue = Double(tissuePixels) / total
        pen = Double(penPixels) / total
        fold =
            Double(
                blocks.reduce(0) { $0 + ($1.count > 0 && $1.sum / Float($1.count) > TileQuality.foldDensity ? 1 : 0) })
            / Double(max(1, blocks.count))
        let count = Double(tissuePixels)
        if tissuePixels > 500 {
            let variance = max(0, square / count - sum / count * (sum / count))
            sharpness = contrast / (2 * count) / max(variance.squareRoot(), 1)
        } else {
            sharpness = nil
        }
    }
}
