internal import BatchWork
internal import CoarseTraining
internal import WholeSlide

/// Counted squares of one slide as grids of blocks with expectations of their own.
extension BlockGrid {
    /// Squares on one lattice share a grid, so that neighbours are seen together; every other square is a grid of its own.
    ///
    /// - Parameters:
    ///   - stratum: the class with which a count is drawn and held out.
    ///   - refuse: gets the squares that do not lie on the slide.
    static func counted(
        _ squares: [SquareReadings], frame: WorkingFrame, counting: CellCounting, stratum: (SquareReadings) -> Int,
        refuse: (SquareReadings) -> Void
    ) throws -> [BlockGrid] {
        /// A side in working pixels, and by how many a lattice is off the slide's corner.
        struct Lattice: Hashable {
            let side: Int
            let x: Int
            let y: Int
        }
        var order: [Lattice] = []
        var members: [Lattice: [(square: SquareReadings, x: Int, y: Int)]] = [:]
        for square in squares {
            let side = Int((square.sideMicrons / frame.micronsPerPixel).rounded())
            let x = Int(frame.working(square.level0X).rounded())
            let y = Int(frame.working(square.level0Y).rounded())
            guard x >= 0, y >= 0, x + side <= frame.width, y + side <= frame.height else {
                refuse(square)
                continue
            }
            let lattice = Lattice(side: side, x: x % side, y: y % side)
            if members[lattice] == nil { order.append(lattice) }
            members[lattice, default: []].append((square, x, y))
        }
        return try order.flatMap { lattice in
            let found = members[lattice] ?? []
            let columns = found.map { $0.x / lattice.side }
            let rows = found.map { $0.y / lattice.side }
            let left = columns.min() ?? 0
            let top = rows.min() ?? 0
            let width = (columns.max() ?? 0) - left + 1
            let height = (rows.max() ?? 0) - top + 1
            // A few squares far from each other need no map of all that lies between.
            let isDense = width * height <= max(4096, 64 * found.count)
            let groups = isDense ? [Array(found.indices)] : found.indices.map { [$0] }
            return try groups.map { group in
                let (firstColumn, firstRow) = isDense ? (left, top) : (columns[group[0]], rows[group[0]])
                var grid = BlockGrid(
                    columns: isDense ? width : 1, rows: isDense ? height : 1, workingSide: Double(lattice.side),
                    originX: Double(lattice.x + firstColumn * lattice.side),
                    originY: Double(lattice.y + firstRow * lattice.side))
                for index in group {
                    let square = found[index].square
                    grid.set(
                        try counting.expectation(
                            count: square.mean, readers: square.counts.count, sideMicrons: square.sideMicrons),
                        drawnAs: stratum(square),
                        at: Position(column: columns[index] - firstColumn, row: rows[index] - firstRow))
                }
                return grid
            }
        }
    }
}
