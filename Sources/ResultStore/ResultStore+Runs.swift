public import Foundation
internal import GRDB

/// Writing a segmentation, tile row by tile row.
extension ResultStore {
    /// Stores or finds a model by its fingerprint.
    public func model(_ model: ModelRecord) throws(StoreError) -> Int64 {
        try write { db in
            try db.execute(
                sql: """
                    INSERT INTO model (fingerprint, name, path, microns_per_pixel, description) VALUES (?, ?, ?, ?, ?)
                    ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name, path = excluded.path
                    """,
                arguments: [model.fingerprint, model.name, model.path, model.micronsPerPixel, model.description])
            return try Int64.fetchOne(
                db, sql: "SELECT id FROM model WHERE fingerprint = ?", arguments: [model.fingerprint]) ?? 0
        }
    }

    /// The run of a slide with a model and settings, if it has been finished.
    public func finishedRun(slideNamed name: String, model: Int64, settings: String) throws(StoreError) -> Int64? {
        try read { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT run.id FROM run JOIN slide ON slide.id = slide_id
                    WHERE slide.name = ? AND model_id = ? AND settings = ? AND status = 'done'
                    """, arguments: [name, model, settings])
        }
    }

    /// Begins a run, or finds where an earlier one stopped.
    ///
    /// - Parameter regions: the coarse regions to compare with; stored when the run begins.
    /// - Throws: ``StoreError`` where another slide of the same name but another size or scale is in the file.
    public func beginRun(
        slide: SlideRecord, model: Int64, settings: RunSettings, regions: [RegionRecord]
    ) throws(StoreError) -> RunState {
        let path = url.path
        return try write { db in
            if let known = try Row.fetchOne(
                db, sql: "SELECT width, height, microns_per_pixel FROM slide WHERE name = ?", arguments: [slide.name])
            {
                let (width, height, mpp): (Int, Int, Double) = (known[0], known[1], known[2])
                guard width == slide.width, height == slide.height, abs(mpp - slide.micronsPerPixel) < 1e-9 else {
                    throw StoreError(
                        .foreign,
                        "results file \(path) has another slide named '\(slide.name)' (\(width)×\(height) px at \(mpp) µm, "
                            + "this one \(slide.width)×\(slide.height) at \(slide.micronsPerPixel)): rename one of them"
                    )
                }
            }
            try db.execute(
                sql: """
                    INSERT INTO slide (name, path, vendor, width, height, microns_per_pixel, scale_source, tissue_mm2,
                        bounds_x, bounds_y)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT (name) DO UPDATE SET path = excluded.path, tissue_mm2 = excluded.tissue_mm2
                    """,
                arguments: [
                    slide.name, slide.path, slide.vendor, slide.width, slide.height, slide.micronsPerPixel,
                    slide.scaleSource, slide.tissueSquareMillimeters, slide.boundsX, slide.boundsY,
                ])
            let slideID =
                try Int64.fetchOne(db, sql: "SELECT id FROM slide WHERE name = ?", arguments: [slide.name]) ?? 0
            if let run = try Row.fetchOne(
                db,
                sql: """
                    SELECT id, status, next_tile_row, frontier FROM run
                    WHERE slide_id = ? AND model_id = ? AND settings = ?
                    """, arguments: [slideID, model, settings.text])
            {
                let (id, status): (Int64, String) = (run[0], run[1])
                if status == "failed" {
                    try db.execute(
                        sql: "UPDATE run SET status = 'running', message = NULL WHERE id = ?", arguments: [id])
                }
                return RunState(id: id, isDone: status == "done", nextTileRow: run[2], frontier: run[3])
            }
            try db.execute(
                sql: """
                    INSERT INTO run (slide_id, model_id, settings, status, started_at, program_version, level0_per_pixel,
                        threshold, tile_side, tile_rows, engine) VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    slideID, model, settings.text, ResultStore.now(), settings.programVersion, settings.level0PerPixel,
                    settings.threshold, settings.tileSide, settings.tileRows, settings.engine,
                ])
            let id = db.lastInsertedRowID
            let insert = try db.makeStatement(
                sql: """
                    INSERT INTO region (run_id, ordinal, level0_x, level0_y, level0_side, probability, class, prior_mean,
                        prior_deviation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            for (ordinal, region) in regions.enumerated() {
                try insert.execute(arguments: [
                    id, ordinal, region.level0X, region.level0Y, region.level0Side, region.probability,
                    region.coarseClass, region.priorMean, region.priorDeviation,
                ])
            }
            return RunState(id: id, isDone: false, nextTileRow: 0, frontier: nil)
        }
    }

    /// Stores a finished tile row with the cells that it closed, and where to go on: one transaction.
    ///
    /// - Throws: ``StoreError`` where the row before is not the last one stored: another process is at the same run.
    public func finishTileRow(
        run: Int64, nextTileRow: Int, frontier: Data, tiles: [TileRecord], cells: [CellRecord], regionSums: [RegionSum]
    ) throws(StoreError) {
        let path = url.path
        try write { db in
            let insertTile = try db.cachedStatement(
                sql: """
                    INSERT OR REPLACE INTO tile (run_id, tile_row, tile_column, level0_x, level0_y, level0_width,
                        level0_height, status, message, mean_probability, tissue_mm2, pen, fold, sharpness, flag)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """)
            for tile in tiles {
                try insertTile.execute(arguments: [
                    run, tile.row, tile.column, tile.level0X, tile.level0Y, tile.level0Width, tile.level0Height,
                    tile.failure == nil ? "done" : "unreadable", tile.failure, tile.meanProbability,
                    tile.tissueSquareMillimeters, tile.pen, tile.fold, tile.sharpness, tile.flag,
                ])
            }
            try ResultStore.insert(cells, run: run, db)
            try ResultStore.addToTiles(cells, run: run, db)
            let addToRegion = try db.cachedStatement(
                sql: """
                    UPDATE region SET pixels = pixels + ?, probability_sum = probability_sum + ?
                    WHERE run_id = ? AND ordinal = ?
                    """)
            for sum in regionSums {
                try addToRegion.execute(arguments: [sum.pixels, sum.probabilitySum, run, sum.ordinal])
            }
            try db.execute(
                sql: "UPDATE run SET next_tile_row = ?, frontier = ? WHERE id = ? AND next_tile_row = ?",
                arguments: [nextTileRow, frontier, run, nextTileRow - 1])
            // Otherwise two processes on one slide would store each cell twice; this one's row is rolled back.
            guard db.changesCount == 1 else {
                throw StoreError(
                    .missing, "another process is segmenting the same slide into \(path): let it finish, then run again"
                )
            }
        }
    }

    private static func insert(_ cells: [CellRecord], run: Int64, _ db: Database) throws {
        let insertCell = try db.cachedStatement(
            sql: """
                INSERT INTO cell (run_id, centroid_x, centroid_y, area_um2, perimeter_um, circularity, mean_probability,
                    mean_hematoxylin_od, polygon, mask_x, mask_y, mask_width, mask_height, mask)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        let insertBounds = try db.cachedStatement(
            sql: "INSERT INTO cell_rtree (id, min_x, max_x, min_y, max_y) VALUES (?, ?, ?, ?, ?)")
        for cell in cells {
            try insertCell.execute(arguments: [
                run, cell.centroidX, cell.centroidY, cell.areaSquareMicrons, cell.perimeterMicrons, cell.circularity,
                cell.meanProbability, cell.meanHematoxylin, Data(cell.polygon), cell.maskX, cell.maskY,
                cell.maskWidth, cell.maskHeight, Data(cell.mask),
            ])
            try insertBounds.execute(arguments: [
                db.lastInsertedRowID, cell.bounds.0, cell.bounds.1, cell.bounds.2, cell.bounds.3,
            ])
        }
    }

    /// Adds the cells to the sums of the tiles in which their centroids lie: a row before this one may be among them.
    private static func addToTiles(_ cells: [CellRecord], run: Int64, _ db: Database) throws {
        guard !cells.isEmpty,
            let side = try Double.fetchOne(
                db, sql: "SELECT tile_side * level0_per_pixel FROM run WHERE id = ?", arguments: [run])
        else { return }
        struct Place: Hashable {
            let row: Int
            let column: Int
        }
        var sums: [Place: (cells: Int, area: Double)] = [:]
        for cell in cells {
            let place = Place(row: Int(cell.centroidY / side), column: Int(cell.centroidX / side))
            let sum = sums[place] ?? (0, 0)
            sums[place] = (sum.cells + 1, sum.area + cell.areaSquareMicrons)
        }
        let update = try db.cachedStatement(
            sql: """
                UPDATE tile SET cells = cells + ?, cell_area_um2 = cell_area_um2 + ?
                WHERE run_id = ? AND tile_row = ? AND tile_column = ?
                """)
        for (place, sum) in sums { try update.execute(arguments: [sum.cells, sum.area, run, place.row, place.column]) }
    }

    /// Adds what a part of a run took: wall time, and seconds by stage as JSON.
    public func addTime(_ seconds: Double, profile: String, run: Int64) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: "UPDATE run SET seconds = seconds + ?, profile = ? WHERE id = ?",
                arguments: [seconds, profile, run])
        }
    }

    /// Marks a run as done.
    ///
    /// - Parameter statistics: of its cells.
    public func finishRun(_ run: Int64, statistics: CellStatistics? = nil) throws(StoreError) {
        try write { db in
            if let statistics {
                try db.execute(
                    sql: "UPDATE run SET nearest_neighbor_index = ?, seam_score = ?, seam_score_error = ? WHERE id = ?",
                    arguments: [
                        statistics.nearestNeighborIndex, statistics.seamScore, statistics.seamScoreError, run,
                    ])
            }
            try db.execute(
                sql: "UPDATE run SET status = 'done', finished_at = ?, frontier = NULL, message = NULL WHERE id = ?",
                arguments: [ResultStore.now(), run])
        }
    }

    /// Marks a run as failed; what it has stored stays, and running again goes on from there.
    public func failRun(_ run: Int64, message: String) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: "UPDATE run SET status = 'failed', message = ? WHERE id = ?", arguments: [message, run])
        }
    }

    /// Removes a run with everything that it has stored.
    public func discardRun(_ run: Int64) throws(StoreError) {
        try write { db in try db.execute(sql: "DELETE FROM run WHERE id = ?", arguments: [run]) }
    }

    /// The tissue of a run's slide, mm².
    public func tissueSquareMillimeters(run: Int64) throws(StoreError) -> Double? {
        try read { db in
            try Double.fetchOne(
                db, sql: "SELECT tissue_mm2 FROM slide JOIN run ON slide_id = slide.id WHERE run.id = ?",
                arguments: [run])
        }
    }

    /// The number of cells that a run has stored.
    public func cellCount(run: Int64) throws(StoreError) -> Int {
        try read { db in
            try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM cell WHERE run_id = ?", arguments: [run]) ?? 0
        }
    }
}
