internal import Foundation
internal import Raster
internal import WholeSlide

/// One tile row across the slide: probability and haematoxylin of each working pixel in a byte each. Tiles may be placed
/// from several threads at once.
///
/// `@unchecked Sendable`: tiles lie side by side, so each thread writes bytes that no other touches, and what has been
/// placed is read only after all have been; the lists are under the lock.
final class TileBand: @unchecked Sendable {
    let width: Int
    let height: Int
    /// First working row.
    let y: Int
    private let probability: UnsafeMutablePointer<UInt8>
    private let hematoxylin: UnsafeMutablePointer<UInt8>
    private let lock = NSLock()
    /// Columns of tiles that could not be read.
    private(set) var unreadable: [Range<Int>] = []
    private var placed: [Range<Int>] = []

    init(width: Int, height: Int, y: Int) {
        self.width = width
        self.height = height
        self.y = y
        let count = max(1, width * height)
        // From the system, zeroed: what no tile touches takes no memory.
        probability = calloc(count, 1).assumingMemoryBound(to: UInt8.self)
        hematoxylin = calloc(count, 1).assumingMemoryBound(to: UInt8.self)
    }

    deinit {
        free(probability)
        free(hematoxylin)
    }

    /// The probability · 255 of a pixel of the band.
    subscript(probabilityAt x: Int, row: Int) -> UInt8 { probability[row * width + x] }

    /// Probability · 255 by log-odds from −8 to 8 in steps of 1/128; the nearest step is taken.
    private static let table: [UInt8] = (0...2048).map { step in
        UInt8((255 / (1 + exp(8 - Float(step) / 128))).rounded())
    }

    /// Probability · 255 of every pixel, row by row.
    var probabilities: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: probability, count: width * height) }

    /// Puts a tile's output in its place and returns its mean probability.
    func place(_ output: ProbabilityTiles.Output, at tile: TileGrid.Tile) -> Double {
        var sum = 0
        TileBand.table.withUnsafeBufferPointer { table in
            output.logOdds.values.withUnsafeBufferPointer { logOdds in
                output.hematoxylin.values.withUnsafeBufferPointer { density in
                    let last = Float(table.count - 1)
                    for row in 0..<tile.height {
                        let target = (tile.y - y + row) * width + tile.x
                        let source = row * tile.width
                        for column in 0..<tile.width {
                            let index = max(0, min(last, (logOdds[source + column] + 8) * 128))
                            let p = table[Int(index + 0.5)]
                            sum += Int(p)
                            probability[target + column] = p
                            let steps = density[source + column] * CellOutliner.hematoxylinSteps
                            hematoxylin[target + column] = UInt8(max(0, min(255, steps + 0.5)))
                        }
                    }
                }
            }
        }
        lock.withLock { placed.append(tile.x..<(tile.x + tile.width)) }
        return Double(sum) / 255 / Double(tile.width * tile.height)
    }

    func markUnreadable(_ tile: TileGrid.Tile) {
        lock.withLock { unreadable.append(tile.x..<(tile.x + tile.width)) }
    }

    /// Hands the band's rows on, and returns the components that they close.
    func append(to components: inout StreamingComponents, threshold: Double) -> [PixelComponent] {
        // A probability of exactly 0 never counts, whatever the threshold.
        let limit = UInt8(max(1, min(255, (threshold * 255).rounded(.up))))
        // Tiles side by side are one span: a cell may lie across their border.
        var spans: [Range<Int>] = []
        for next in placed.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = spans.last, last.upperBound == next.lowerBound {
                spans[spans.count - 1] = last.lowerBound..<next.upperBound
            } else {
                spans.append(next)
            }
        }
        var closed: [PixelComponent] = []
        for row in 0..<height {
            closed += components.append(
                first: UnsafeBufferPointer(start: probability + row * width, count: width),
                second: UnsafeBufferPointer(start: hematoxylin + row * width, count: width), threshold: limit,
                within: spans)
        }
        return closed
    }
}
