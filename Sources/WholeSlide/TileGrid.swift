/// The tiles of a working grid that hold tissue, row by row.
public struct TileGrid: Sendable {
    /// A square of working pixels, its part of the result, and where in the grid it is.
    public struct Tile: Hashable, Sendable {
        public let column: Int
        public let row: Int
        /// Top left corner of the tile's own part, in working pixels.
        public let x: Int
        public let y: Int
        /// Size of the tile's own part; smaller at the slide's right and lower edge.
        public let width: Int
        public let height: Int

        public init(column: Int, row: Int, x: Int, y: Int, width: Int, height: Int) {
            self.column = column
            self.row = row
            self.x = x
            self.y = y
            self.width = width
            self.height = height
        }
    }

    /// The side of a tile's own part, in working pixels.
    public let side: Int
    public let columns: Int
    /// Tiles with tissue by row; a row may be empty.
    public let rows: [[Tile]]

    public var tileCount: Int { rows.reduce(0) { $0 + $1.count } }

    /// The tiles in which something is looked at.
    ///
    /// - Parameter side: a multiple of the ground's.
    public init(frame: WorkingFrame, side: Int, ground: Ground) {
        self.init(frame: frame, side: side) { tile in
            ground.isLooked(columns: tile.x..<(tile.x + tile.width), rows: tile.y..<(tile.y + tile.height))
        }
    }

    /// - Parameters:
    ///   - tissue: where the tissue is; nil for all tiles.
    public init(frame: WorkingFrame, side: Int, tissue: TissueMask?) {
        self.init(frame: frame, side: side) { tile in
            guard let tissue else { return true }
            return tissue.tissueFraction(
                level0X: frame.level0(Double(tile.x)), level0Y: frame.level0(Double(tile.y)),
                width: frame.level0(Double(tile.width)), height: frame.level0(Double(tile.height))) > 0
        }
    }

    /// - Parameter isWanted: whether a tile is worked on.
    public init(frame: WorkingFrame, side: Int, isWanted: (Tile) -> Bool) {
        self.side = side
        let columns = (frame.width + side - 1) / side
        self.columns = columns
        rows = (0..<((frame.height + side - 1) / side)).map { row in
            (0..<columns).compactMap { column in
                let tile = Tile(
                    column: column, row: row, x: column * side, y: row * side,
                    width: min(side, frame.width - column * side), height: min(side, frame.height - row * side))
                return isWanted(tile) ? tile : nil
            }
        }
    }
}
