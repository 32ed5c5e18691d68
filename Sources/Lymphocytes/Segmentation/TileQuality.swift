internal import Raster
internal import ResultStore
internal import TiledPrediction

/// Whether a tile shows tissue that can be counted in: pen, folds and blur are seen in its pixels.
///
/// What is seen is kept by squares of a fixed size, in which a slide's quality is judged whatever its tiles.
struct TileQuality: Sendable, Equatable {
    /// A tile's part of one square.
    struct Part: Sendable, Equatable {
        let column: Int
        let row: Int
        fileprivate(set) var samples = 0
        fileprivate(set) var tissue = 0
        fileprivate(set) var pen = 0
        fileprivate(set) var blocks = 0
        fileprivate(set) var darkBlocks = 0
        fileprivate(set) var contrast = 0.0
        fileprivate(set) var greySum = 0.0
        fileprivate(set) var greySquare = 0.0

        func add(to square: inout QualityRecord) {
            square.samples += samples
            square.tissue += tissue
            square.pen += pen
            square.blocks += blocks
            square.darkBlocks += darkBlocks
            square.contrast += contrast
            square.greySum += greySum
            square.greySquare += greySquare
        }

        /// The pixels of the square that belong to a tile.
        func region(in tile: PixelRegion) -> PixelRegion {
            let side = TileQuality.squareSide
            let columns = (column * side..<(column + 1) * side).clamped(to: tile.columns)
            let rows = (row * side..<(row + 1) * side).clamped(to: tile.rows)
            return PixelRegion(x: columns.lowerBound, y: rows.lowerBound, width: columns.count, height: rows.count)
        }
    }

    let parts: [Part]

    /// The side of a square, working pixels.
    static let squareSide = 512

    private func sum<Value: AdditiveArithmetic>(_ path: KeyPath<Part, Value>) -> Value {
        parts.reduce(.zero) { $0 + $1[keyPath: path] }
    }

    /// Shares of the tile's pixels.
    var tissue: Double { Double(sum(\.tissue)) / Double(max(1, sum(\.samples))) }
    /// Green, blue or black ink. Red ink cannot be told from blood.
    var pen: Double { Double(sum(\.pen)) / Double(max(1, sum(\.samples))) }
    /// Tissue so dark over 16 µm that it lies on itself.
    var fold: Double { Double(sum(\.darkBlocks)) / Double(max(1, sum(\.blocks))) }
    /// Mean contrast of neighbouring pixels in tissue, in units of the contrast of the tissue as a whole; nil where there
    /// is hardly any tissue.
    var sharpness: Double? {
        let count = Double(sum(\.tissue))
        guard count > 500 else { return nil }
        let mean = sum(\.greySum) / count
        let variance = max(0, sum(\.greySquare) / count - mean * mean)
        return sum(\.contrast) / (2 * count) / max(variance.squareRoot(), 1)
    }

    /// What is wrong with the tile as a whole; nil where nothing is. The table of squares has the same limits.
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

    /// A block of about 16 µm whose sides divide those of all tiles, pixels.
    private static func blockSide(_ micronsPerPixel: Double) -> Int {
        [16, 32, 64].min { abs(16 / micronsPerPixel - Double($0)) < abs(16 / micronsPerPixel - Double($1)) } ?? 32
    }

    /// - Parameters:
    ///   - image: a tile's own part.
    ///   - x: its left edge in the slide, a multiple of the smallest tile; working pixels.
    ///   - ground: where pixels are looked at, in squares that no tile cuts; nil for everywhere. Which glass a tile holds besides
    ///     depends on its side.
    init(_ image: RGBImage, x left: Int = 0, y top: Int = 0, micronsPerPixel: Double, ground: Ground? = nil) {
        let (side, block) = (TileQuality.squareSide, TileQuality.blockSide(micronsPerPixel))
        let region = PixelRegion(x: left, y: top, width: image.width, height: image.height)
        let rows = top / side..<max(top / side, (top + image.height + side - 1) / side)
        let columns = left / side..<max(left / side, (left + image.width + side - 1) / side)
        parts = rows.flatMap { row in
            columns.map { column in
                var part = Part(column: column, row: row)
                let own = part.region(in: region)
                TileQuality.look(at: image, x: left, y: top, own: own, block: block, ground: ground, into: &part)
                return part
            }
        }
    }

    /// - Parameter own: what is looked at of the image, in the slide's pixels.
    private static func look(
        at image: RGBImage, x left: Int, y top: Int, own: PixelRegion, block side: Int, ground: Ground?,
        into part: inout Part
    ) {
        let table = ColorDeconvolution.opticalDensityTable
        let across = (own.width + side - 1) / side
        var blocks = [(sum: Float, count: Int)](repeating: (0, 0), count: across * ((own.height + side - 1) / side))
        // The last column and row of the image have no neighbours.
        let columns = own.x..<max(own.x, min(own.columns.upperBound, left + image.width - 1))
        let lastRow = min(own.rows.upperBound, top + image.height - 1)
        image.pixels.withUnsafeBufferPointer { pixels in
            for y in stride(from: own.y, to: lastRow, by: step) {
                for span in ground?.spans(row: y, columns: columns) ?? [columns] {
                    for x in stride(from: span.lowerBound, to: span.upperBound, by: step) {
                        let i = 3 * ((y - top) * image.width + x - left)
                        let (r, g, b) = (Int(pixels[i]), Int(pixels[i + 1]), Int(pixels[i + 2]))
                        part.samples += 1
                        let (low, high) = (min(r, g, b), max(r, g, b))
                        // Haematoxylin and eosin both take most of green; what leaves green and takes red is ink. So is black.
                        if (g > r + 20 && high - low > 30) || (high < 60 && high - low < 20) { part.pen += 1 }
                        let density = (table[r] + table[g] + table[b]) / 3
                        let index = (y - own.y) / side * across + (x - own.x) / side
                        blocks[index] = (blocks[index].sum + density, blocks[index].count + 1)
                        guard density > 0.05 else { continue }
                        part.tissue += 1
                        let here = Double(r + g + b)
                        let right = Double(Int(pixels[i + 3]) + Int(pixels[i + 4]) + Int(pixels[i + 5]))
                        let j = i + 3 * image.width
                        let below = Double(Int(pixels[j]) + Int(pixels[j + 1]) + Int(pixels[j + 2]))
                        part.contrast += abs(here - right) + abs(here - below)
                        part.greySum += here
                        part.greySquare += here * here
                    }
                }
            }
        }
        let seen = blocks.filter { $0.count > 0 }
        part.blocks = seen.count
        part.darkBlocks = seen.count { $0.sum / Float($0.count) > foldDensity }
    }
}
