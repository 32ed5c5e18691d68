public import Raster

/// The tiles of an image that are worked on, row by row.
public struct TileGrid: Sendable {
    /// A square of working pixels, its part of the result, and where in the grid it is.
    public struct Tile: Hashable, Sendable {
        public let column: Int
        public let row: Int
        /// Top left corner of the tile's own part, in working pixels.
        public let x: Int
        public let y: Int
        /// Size of the tile's own part; smaller at the image's right and lower edge.
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

        public var region: PixelRegion { PixelRegion(x: x, y: y, width: width, height: height) }
    }

    /// The side of a tile's own part, in working pixels.
    public let side: Int
    public let columns: Int
    /// Tiles that are worked on, by row; a row may be empty.
    public let rows: [[Tile]]

    public var tileCount: Int { rows.reduce(0) { $0 + $1.count } }

    /// The tiles in which something is looked at.
    ///
    /// - Parameters:
    ///   - width: of the image, working pixels.
    ///   - side: a multiple of the ground's.
    public init(width: Int, height: Int, side: Int, ground: Ground) {
        self.init(width: width, height: height, side: side) { tile in
            ground.isLooked(columns: tile.region.columns, rows: tile.region.rows)
        }
    }

    /// - Parameters:
    ///   - width: of the image, working pixels.
    ///   - isWanted: whether a tile is worked on.
    public init(width: Int, height: Int, side: Int, isWanted: (Tile) -> Bool = { _ in true }) {
        self.side = side
        let columns = (width + side - 1) / side
        self.columns = columns
        rows = (0..<((height + side - 1) / side)).map { row in
            (0..<columns).compactMap { column in
                let tile = Tile(
                    column: column, row: row, x: column * side, y: row * side,
                    width: min(side, width - column * side), height: min(side, height - row * side))
                return isWanted(tile) ? tile : nil
            }
        }
    }
}
