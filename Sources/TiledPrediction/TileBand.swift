internal import Foundation
public import Raster

/// What a tile row keeps of its tiles' output. Tiles are placed from several threads at once.
public protocol TileBand: AnyObject, Sendable {
    /// What the reader keeps of a tile's pixels; see ``RegionReader``.
    associatedtype Detail: Sendable
    /// What is told of a tile once it has its place.
    associatedtype Summary: Sendable

    /// Puts a tile's output in its place.
    func place(_ output: TileOutput<Detail>, at tile: TileGrid.Tile) -> Summary

    /// A tile of the band could not be read.
    func markUnreadable(_ tile: TileGrid.Tile)
}

/// Probabilities as bytes.
public enum ProbabilityByte {
    /// Probability · 255 by log-odds from −8 to 8 in steps of 1/128.
    private static let table: [UInt8] = (0...2048).map { step in
        UInt8((255 / (1 + exp(8 - Float(step) / 128))).rounded())
    }

    /// Turns log-odds into probability · 255, the nearest step of the table.
    ///
    /// - Parameters:
    ///   - take: called for each row from the top with its number and bytes, which are good during the call only.
    /// - Returns: the mean probability.
    public static func rows(
        of logOdds: Plane<Float>, take: (_ row: Int, _ bytes: UnsafeBufferPointer<UInt8>) -> Void
    ) -> Double {
        var sum = 0
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, logOdds.width)) { bytes in
            table.withUnsafeBufferPointer { table in
                logOdds.values.withUnsafeBufferPointer { values in
                    let last = Float(table.count - 1)
                    for row in 0..<logOdds.height {
                        let source = row * logOdds.width
                        for column in 0..<logOdds.width {
                            let index = max(0, min(last, (values[source + column] + 8) * 128))
                            let byte = table[Int(index + 0.5)]
                            sum += Int(byte)
                            bytes[column] = byte
                        }
                        take(row, UnsafeBufferPointer(rebasing: bytes[..<logOdds.width]))
                    }
                }
            }
        }
        return Double(sum) / 255 / Double(max(1, logOdds.width * logOdds.height))
    }
}

/// One tile row across the image, a byte each pixel: for maps of the probability.
public final class ProbabilityBand<Detail: Sendable>: TileBand {
    private let width: Int
    private let y: Int
    private let ground: Ground?
    private let bytes: RowBytes

    /// - Parameter ground: beyond it pixels are 0; nil for everywhere.
    public init(width: Int, height: Int, y: Int, ground: Ground? = nil) {
        self.width = width
        self.ground = ground
        self.y = y
        bytes = RowBytes(count: width * height)
    }

    /// Probability · 255 of every pixel, row by row.
    public var probabilities: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(bytes.buffer) }

    /// - Returns: the mean probability.
    public func place(_ output: TileOutput<Detail>, at tile: TileGrid.Tile) -> Double {
        ProbabilityByte.rows(of: output.logOdds) { row, values in
            let columns = tile.x..<(tile.x + values.count)
            for span in ground?.spans(row: tile.y + row, columns: columns) ?? [columns] {
                let target = (tile.y - y + row) * width + span.lowerBound
                let part = UnsafeBufferPointer(
                    rebasing: values[(span.lowerBound - tile.x)..<(span.upperBound - tile.x)])
                _ = UnsafeMutableBufferPointer(rebasing: bytes.buffer[target..<(target + part.count)]).update(
                    from: part)
            }
        }
    }

    public func markUnreadable(_ tile: TileGrid.Tile) {}
}
