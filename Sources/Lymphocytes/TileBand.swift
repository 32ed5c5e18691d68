internal import Foundation
internal import Raster
internal import WholeSlide

/// One tile row across the slide: probability and haematoxylin of each working pixel in a byte each.
struct TileBand {
    let width: Int
    let height: Int
    /// First working row.
    let y: Int
    private(set) var probability: [UInt8]
    private(set) var hematoxylin: [UInt8]
    /// Columns of tiles that could not be read.
    var unreadable: [Range<Int>] = []

    init(width: Int, height: Int, y: Int) {
        self.width = width
        self.height = height
        self.y = y
        probability = [UInt8](repeating: 0, count: width * height)
        hematoxylin = probability
    }

    /// Puts a tile's output in its place and returns its mean probability.
    mutating func place(_ output: ProbabilityTiles.Output, at tile: TileGrid.Tile) -> Double {
        var sum = 0.0
        for row in 0..<tile.height {
            let target = (tile.y - y + row) * width + tile.x
            for column in 0..<tile.width {
                let i = row * tile.width + column
                let p = 1 / (1 + exp(-output.logOdds.values[i]))
                sum += Double(p)
                probability[target + column] = UInt8((p * 255).rounded())
                let density = output.hematoxylin.values[i] * CellOutliner.hematoxylinSteps
                hematoxylin[target + column] = UInt8(max(0, min(255, density.rounded())))
            }
        }
        return sum / Double(tile.width * tile.height)
    }

    /// Hands the band's rows on, and returns the components that they close.
    func append(to components: inout StreamingComponents, threshold: Double) -> [PixelComponent] {
        // A probability of exactly 0 never counts, whatever the threshold.
        let limit = UInt8(max(1, min(255, (threshold * 255).rounded(.up))))
        var closed: [PixelComponent] = []
        probability.withUnsafeBufferPointer { first in
            hematoxylin.withUnsafeBufferPointer { second in
                for row in 0..<height {
                    let range = (row * width)..<((row + 1) * width)
                    closed += components.append(
                        first: UnsafeBufferPointer(rebasing: first[range]),
                        second: UnsafeBufferPointer(rebasing: second[range]), threshold: limit)
                }
            }
        }
        return closed
    }
}
