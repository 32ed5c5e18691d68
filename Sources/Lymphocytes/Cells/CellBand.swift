internal import Foundation
internal import Raster
internal import ResultStore
internal import Synchronization
internal import TiledPrediction
internal import WholeSlide

/// One tile row across the slide: its lymphocyte pixels as runs with probability and haematoxylin, and the sums of the
/// coarse regions that it crosses. What is no lymphocyte takes no memory.
final class CellBand: TileBand {
    private struct State {
        var parts: [PixelRuns] = []
        var unreadable: [Range<Int>] = []
        /// Probability · 255, summed over the band's part of each region.
        var sums: [Int]
    }

    private let rows: Range<Int>
    private let limit: UInt8
    private let regions: [RegionSums.Crossing]
    private let ground: Ground?
    private let state: Mutex<State>

    /// - Parameters:
    ///   - rows: working rows.
    ///   - threshold: pixels with at least this probability belong to lymphocytes.
    ///   - regions: the regions that these rows cross.
    ///   - ground: where pixels count; nil for everywhere.
    init(rows: Range<Int>, threshold: Double, regions: [RegionSums.Crossing], ground: Ground? = nil) {
        self.rows = rows
        self.ground = ground
        // A probability of exactly 0 never counts, whatever the threshold.
        limit = UInt8(max(1, min(255, (threshold * 255).rounded(.up))))
        self.regions = regions
        state = Mutex(State(sums: [Int](repeating: 0, count: regions.count)))
    }

    func place(
        _ output: TileOutput<StainedRegionReader.Detail>, at tile: TileGrid.Tile
    ) -> (meanProbability: Double, quality: TileQuality) {
        let columns = tile.x..<(tile.x + tile.width)
        let crossed = regions.indices.filter { regions[$0].columns.overlaps(columns) }
        var sums = [Int](repeating: 0, count: crossed.count)
        var runs = PixelRuns(x: tile.x)
        var onGround = [UInt8](repeating: 0, count: tile.width)
        let mean = output.detail.hematoxylin.values.withUnsafeBufferPointer { density in
            func take(_ row: Int, _ bytes: UnsafeBufferPointer<UInt8>) {
                runs.appendRow(first: bytes, threshold: limit) { column in
                    let steps = density[row * tile.width + column] * CellOutliner.hematoxylinSteps
                    return UInt8(max(0, min(255, steps + 0.5)))
                }
                for (place, index) in crossed.enumerated() where regions[index].rows.contains(tile.y + row) {
                    let common = regions[index].columns.clamped(to: columns)
                    var sum = 0
                    for column in common { sum += Int(bytes[column - tile.x]) }
                    sums[place] += sum
                }
            }
            return ProbabilityByte.rows(of: output.logOdds) { row, bytes in
                let spans = ground?.spans(row: tile.y + row, columns: columns) ?? [columns]
                if spans == [columns] { return take(row, bytes) }
                // What lies off the ground is not looked at, though the tile reaches there.
                for column in onGround.indices { onGround[column] = 0 }
                for column in spans.joined() { onGround[column - tile.x] = bytes[column - tile.x] }
                onGround.withUnsafeBufferPointer { take(row, $0) }
            }
        }
        runs.shrink()
        state.withLock { state in
            state.parts.append(runs)
            for (index, sum) in zip(crossed, sums) { state.sums[index] += sum }
        }
        return (mean, output.detail.quality)
    }

    func markUnreadable(_ tile: TileGrid.Tile) {
        state.withLock { $0.unreadable.append(tile.x..<(tile.x + tile.width)) }
    }

    /// Hands the band's rows on, and returns the components that they close.
    func append(to components: inout StreamingComponents) -> [PixelComponent] {
        let parts = state.withLock { $0.parts }.sorted { $0.x < $1.x }
        return (0..<rows.count).flatMap { components.append(parts, row: $0) }
    }

    /// The pixels of a region's part that are known: beyond tissue that was found by itself there is glass, without
    /// lymphocytes; what lies off a drawn outline was not looked at.
    private func looked(_ region: RegionSums.Crossing) -> Int {
        guard let ground, !ground.isFound else { return region.rows.count * region.columns.count }
        return region.rows.reduce(0) { sum, row in
            ground.spans(row: row, columns: region.columns).reduce(sum) { $0 + $1.count }
        }
    }

    /// What the band adds to the regions that it crosses.
    var regionSums: [RegionSum] {
        let (sums, unreadable) = state.withLock { ($0.sums, $0.unreadable) }
        return zip(regions, sums).map { region, sum in
            // What could not be read tells nothing of the region.
            let missing = unreadable.reduce(0) { $0 + region.columns.clamped(to: $1).count }
            return RegionSum(
                ordinal: region.ordinal, pixels: max(0, looked(region) - region.rows.count * missing),
                probabilitySum: Double(sum) / 255)
        }
    }
}
