public import BatchWork
internal import Foundation

/// What is left of a tile: what its band says of it, or why it could not be read.
public struct TileResult<Summary: Sendable, Failure: Error>: Sendable {
    public let tile: TileGrid.Tile
    public let result: Result<Summary, Failure>
}

/// Works on the tiles of an image with several threads and hands over finished tile rows in order.
///
/// Reading and inference of different tiles overlap, and both overlap with what the caller does with a finished row. No
/// more than `rowsAhead` rows are begun beyond the one that the caller waits for: that bounds the memory.
///
/// `@unchecked Sendable`: all mutable state is read and written under `condition`, which threads wait on; a mutex cannot be
/// waited on.
public final class TilePipeline<Reader: RegionReader, Band: TileBand>: @unchecked Sendable
where Band.Detail == Reader.Detail {
    public typealias Result = TileResult<Band.Summary, Reader.Failure>

    /// A finished tile row.
    public struct Row {
        public let index: Int
        public let band: Band
        public let tiles: [Result]
    }

    private struct Work {
        let band: Band
        var results: [Result?]
        var open: Int
    }

    /// Rows that may be in work at once.
    private let rowsAhead = 2

    private let grid: TileGrid
    private let predictor: TilePredictor<Reader>
    private let stop: StopRequest
    private let makeBand: @Sendable (Range<Int>) -> Band
    private let finishedTile: @Sendable () -> Void
    private let condition = NSCondition()
    private var work: [Int: Work] = [:]
    /// The next tile to begin, and the row that the caller waits for.
    private var nextRow: Int
    private var nextTile = 0
    private var wanted: Int
    private var failure: (any Error)?
    private var isEnding = false
    private var threads = 0

    /// - Parameters:
    ///   - firstRow: where to begin.
    ///   - makeBand: makes what keeps a tile row's output, given its working rows.
    ///   - finishedTile: called after each tile, from several threads.
    public init(
        grid: TileGrid, predictor: TilePredictor<Reader>, firstRow: Int, stop: StopRequest,
        makeBand: @escaping @Sendable (Range<Int>) -> Band, finishedTile: @escaping @Sendable () -> Void
    ) {
        self.grid = grid
        self.predictor = predictor
        self.stop = stop
        self.makeBand = makeBand
        self.finishedTile = finishedTile
        nextRow = firstRow
        wanted = firstRow
    }

    /// Starts the threads; ``close()`` must follow.
    public func start(threads count: Int) {
        condition.withLock { threads = count }
        for _ in 0..<count {
            let thread = Thread { [self] in
                while let (row, index) = takeTile() { compute(row, index) }
                condition.withLock {
                    threads -= 1
                    condition.broadcast()
                }
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    public enum Next {
        case row(Row)
        /// Nothing new for a while.
        case waiting
        /// The last row has been handed over, or a stop was asked for before the next one was begun.
        case end
    }

    /// The next row in order; it waits a fifth of a second at most.
    ///
    /// - Throws: what no single tile is to blame for.
    public func next() throws -> Next {
        try condition.withLock {
            let deadline = Date().addingTimeInterval(0.2)
            while true {
                if let failure { throw failure }
                guard wanted < grid.rows.count else { return .end }
                if let found = work[wanted], found.open == 0 {
                    work[wanted] = nil
                    wanted += 1
                    condition.broadcast()
                    return .row(
                        Row(index: wanted - 1, band: found.band, tiles: found.results.compactMap { $0 }))
                }
                if stop.isStopping, work[wanted] == nil { return .end }
                guard condition.wait(until: deadline) else { return .waiting }
            }
        }
    }

    /// Ends the threads, and waits until each has finished its tile.
    public func close() {
        condition.withLock {
            isEnding = true
            condition.broadcast()
            while threads > 0 { condition.wait() }
        }
    }

    private func takeTile() -> (row: Int, index: Int)? {
        condition.withLock {
            while true {
                guard !isEnding, failure == nil, nextRow < grid.rows.count else { return nil }
                // A row that has been begun is finished; no other is begun once a stop is asked for.
                if nextTile == 0, stop.isStopping { return nil }
                guard nextRow < wanted + rowsAhead else {
                    _ = condition.wait(until: Date().addingTimeInterval(0.2))
                    continue
                }
                let row = nextRow
                if nextTile == 0 {
                    let count = grid.rows[row].count
                    let y = row * grid.side
                    work[row] = Work(
                        band: makeBand(y..<min(y + grid.side, predictor.reader.height)),
                        results: [Result?](repeating: nil, count: count), open: count)
                    if count == 0 {
                        nextRow += 1
                        condition.broadcast()
                        continue
                    }
                }
                let index = nextTile
                nextTile += 1
                if nextTile == grid.rows[row].count {
                    nextRow += 1
                    nextTile = 0
                }
                return (row, index)
            }
        }
    }

    private func compute(_ row: Int, _ index: Int) {
        let tile = grid.rows[row][index]
        guard let band = condition.withLock({ work[row]?.band }) else { return }
        do {
            let result: Swift.Result<Band.Summary, Reader.Failure>
            do {
                let output = try predictor.output(of: tile)
                result = .success(predictor.clock.time(.place) { band.place(output, at: tile) })
            } catch let error as Reader.Failure {
                band.markUnreadable(tile)
                result = .failure(error)
            }
            condition.withLock {
                work[row]?.results[index] = TileResult(tile: tile, result: result)
                work[row]?.open -= 1
                condition.broadcast()
            }
            finishedTile()
        } catch {
            condition.withLock {
                failure = failure ?? error
                condition.broadcast()
            }
        }
    }
}
