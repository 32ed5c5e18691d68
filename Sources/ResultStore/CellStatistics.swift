public import Failures
internal import Foundation
internal import GRDB

/// How the cells of a run lie: clustered or spread, and whether tile borders show in them.
public struct CellStatistics: Sendable, Equatable {
    /// Clark and Evans' index: the mean distance to the nearest other cell over ½ √(tissue / cells), what cells strewn at
    /// random would have. Below 1 they cluster. A distance counts up to ``nearestRange``. nil for fewer than two cells.
    public var nearestNeighborIndex: Double?
    /// Cells a unit of area within ``seamWidth`` of borders between tiles, over that of the strips beside, twice as wide: both
    /// see the same tissue. 1 without seams; nil where there are too few cells.
    public var seamScore: Double?
    /// Its standard error, from the counts alone.
    public var seamScoreError: Double?

    /// The farthest that a nearest cell is looked for, working pixels, whatever the tiles.
    public static let nearestRange = 512

    /// Working pixels on each side of a border between tiles.
    public static let seamWidth = 8
}

extension ResultStore {
    /// Computes the statistics of a run's cells; it holds 8 bytes a cell.
    public func cellStatistics(run: Int64) throws(StoreError) -> CellStatistics {
        try read { db in
            guard
                let row = try Row.fetchOne(
                    db, sql: "SELECT tile_side, level0_per_pixel, tile_rows FROM run WHERE id = ?", arguments: [run])
            else { return CellStatistics() }
            let (tileSide, scale): (Int, Double) = (try row.get(0), try row.get(1))
            guard (1...(1 << 20)).contains(tileSide), (1e-3...1e3).contains(scale) else {
                throw DamagedRow(description: "a run has tiles of \(tileSide) px at \(scale) px each")
            }
            let tiles = try Row.fetchAll(
                db, sql: "SELECT tile_row, tile_column FROM tile WHERE run_id = ? AND status = 'done'", arguments: [run]
            )
            var field = CellField(
                side: Double(tileSide) * scale, seam: Double(CellStatistics.seamWidth) * scale,
                tiles: Set(try tiles.map { CellField.Tile(row: try $0.get(0), column: try $0.get(1)) }))
            let cursor = try Row.fetchCursor(
                db, sql: "SELECT centroid_x, centroid_y FROM cell WHERE run_id = ? ORDER BY id", arguments: [run])
            var near = CellField(side: Double(CellStatistics.nearestRange) * scale, seam: 0, tiles: [])
            let isSame = tileSide == CellStatistics.nearestRange
            while let cell = try cursor.next() {
                let (x, y): (Double, Double) = (try cell.get(0), try cell.get(1))
                guard abs(x) < 1e9, abs(y) < 1e9 else {
                    throw DamagedRow(description: "a cell lies at (\(x), \(y))")
                }
                field.add(x: x, y: y)
                if !isSame { near.add(x: x, y: y) }
            }
            let tissue =
                try Double.fetchOne(
                    db,
                    sql: """
                        SELECT COALESCE((SELECT SUM(tissue_mm2) FROM tile WHERE run_id = run.id), run.tissue_mm2) * 1e6
                            / (slide.microns_per_pixel * slide.microns_per_pixel)
                        FROM run JOIN slide ON slide.id = slide_id WHERE run.id = ?
                        """, arguments: [run]) ?? 0
            var statistics = field.statistics(tissue: tissue)
            if !isSame { statistics.nearestNeighborIndex = near.statistics(tissue: tissue).nearestNeighborIndex }
            return statistics
        }
    }
}

/// Centroids by tile, with what is asked of them.
struct CellField {
    struct Tile: Hashable {
        let row: Int
        let column: Int
    }

    /// Level-0 px.
    let side: Double
    let seam: Double
    let tiles: Set<Tile>
    private var points: [Tile: [SIMD2<Float>]] = [:]
    private var count = 0
    /// Cells in the strips along borders between tiles, and in those beside; in a corner a cell lies in two.
    private var atSeams = 0
    private var beside = 0

    init(side: Double, seam: Double, tiles: Set<Tile>) {
        self.side = side
        self.seam = seam
        self.tiles = tiles
    }

    mutating func add(x: Double, y: Double) {
        count += 1
        let tile = Tile(row: Int(y / side), column: Int(x / side))
        let (dx, dy) = (x - Double(tile.column) * side, y - Double(tile.row) * side)
        points[tile, default: []].append(SIMD2(Float(dx), Float(dy)))
        guard tiles.contains(tile) else { return }
        // Borders to tiles without tissue have few cells for reasons of their own.
        for border in borders(of: tile) {
            let distance = distance(border, dx, dy)
            if distance < seam { atSeams += 1 } else if distance < 3 * seam { beside += 1 }
        }
    }

    private enum Border: CaseIterable {
        case left, right, top, bottom
    }

    private func borders(of tile: Tile) -> [Border] {
        Border.allCases.filter { border in
            switch border {
            case .left: tiles.contains(Tile(row: tile.row, column: tile.column - 1))
            case .right: tiles.contains(Tile(row: tile.row, column: tile.column + 1))
            case .top: tiles.contains(Tile(row: tile.row - 1, column: tile.column))
            case .bottom: tiles.contains(Tile(row: tile.row + 1, column: tile.column))
            }
        }
    }

    private func distance(_ border: Border, _ dx: Double, _ dy: Double) -> Double {
        switch border {
        case .left: dx
        case .right: side - dx
        case .top: dy
        case .bottom: side - dy
        }
    }

    /// - Parameter tissue: level-0 px².
    func statistics(tissue: Double) -> CellStatistics {
        var result = CellStatistics()
        if count > 1, tissue > 0 {
            let expected = 0.5 * (tissue / Double(count)).squareRoot()
            result.nearestNeighborIndex = meanNearestDistance() / expected
        }
        if atSeams > 0, beside > 0 {
            let score = 2 * Double(atSeams) / Double(beside)
            result.seamScore = score
            result.seamScoreError = score * (1 / Double(atSeams) + 1 / Double(beside)).squareRoot()
        }
        return result
    }

    /// Each tile is cut into squares with about two cells each; rings of squares are searched outwards.
    private func meanNearestDistance() -> Double {
        let density = max(1, points.values.map(\.count).max() ?? 1)
        let perSide = max(1, min(256, Int((Double(density) / 2).squareRoot())))
        let square = side / Double(perSide)
        struct Key: Hashable {
            let x: Int
            let y: Int
        }
        var sum = 0.0
        // Squares of a row of tiles at a time, with its neighbours'.
        let rows = Dictionary(grouping: points.keys, by: \.row)
        var squares: [Int: [Key: [SIMD2<Double>]]] = [:]
        func load(_ row: Int) -> [Key: [SIMD2<Double>]] {
            var found: [Key: [SIMD2<Double>]] = [:]
            for tile in rows[row] ?? [] {
                for point in points[tile] ?? [] {
                    let key = Key(
                        x: tile.column * perSide + min(perSide - 1, Int(Double(point.x) / square)),
                        y: tile.row * perSide + min(perSide - 1, Int(Double(point.y) / square)))
                    found[key, default: []].append(
                        SIMD2(
                            Double(tile.column) * side + Double(point.x), Double(tile.row) * side + Double(point.y)))
                }
            }
            return found
        }
        let farthest = perSide
        for row in rows.keys.sorted() {
            squares = squares.filter { abs($0.key - row) <= 1 }
            for near in (row - 1)...(row + 1) where squares[near] == nil { squares[near] = load(near) }
            for (key, places) in squares[row] ?? [:] {
                for place in places {
                    var best = Double.infinity
                    var ring = 0
                    while ring <= farthest, best > (Double(ring) - 1) * square {
                        for y in (key.y - ring)...(key.y + ring) {
                            let isEdge = abs(y - key.y) == ring
                            for x in stride(
                                from: key.x - ring, through: key.x + ring, by: isEdge || ring == 0 ? 1 : 2 * ring)
                            {
                                let tileRow = y >= 0 ? y / perSide : -1
                                for other in squares[tileRow]?[Key(x: x, y: y)] ?? [] where other != place {
                                    let d = other - place
                                    best = min(best, (d * d).sum().squareRoot())
                                }
                            }
                        }
                        ring += 1
                    }
                    // No farther than a tile's width: the squares beyond were not all looked at.
                    sum += min(best, side)
                }
            }
        }
        return sum / Double(max(1, count))
    }
}
