public import Failures
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
                    ON CONFLICT (fingerprint, name) DO UPDATE SET path = excluded.path
                    """,
                arguments: [model.fingerprint, model.name, model.path, model.micronsPerPixel, model.description])
            return try Int64.fetchOne(
                db, sql: "SELECT id FROM model WHERE fingerprint = ? AND name = ?",
                arguments: [model.fingerprint, model.name]) ?? 0
        }
    }

    /// The run of a slide with a model and settings, if it has been finished; the model may have had another name then.
    public func finishedRun(
        slide: SlideRecord, model: Int64, settings: String
    ) throws(StoreError) -> Int64? {
        try read { db in
            try Int64.fetchOne(
                db,
                sql: """
                    SELECT run.id FROM run JOIN slide ON slide.id = slide_id JOIN model ON model.id = model_id
                    WHERE identity = ? AND slide.name = ? AND slide.microns_per_pixel = ? AND scale_source = ?
                        AND fingerprint = (SELECT fingerprint FROM model WHERE id = ?) AND settings = ?
                        AND status = 'done'
                    """,
                arguments: [
                    slide.identity, slide.name, slide.micronsPerPixel, slide.scaleSource, model, settings,
                ])
        }
    }

    /// Notes why an input could not be used, in place of what was noted of it before.
    public func noteFailure(file: String, path: String, reason: String) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: "INSERT OR REPLACE INTO failed_input (path, file, reason, failed_at) VALUES (?, ?, ?, ?)",
                arguments: [path, file, reason, ResultStore.now()])
        }
    }

    /// Forgets why an input could not be used: by now it could.
    public func forgetFailure(path: String) throws(StoreError) {
        try write { db in try db.execute(sql: "DELETE FROM failed_input WHERE path = ?", arguments: [path]) }
    }

    /// Begins a run, or finds where an earlier one stopped.
    ///
    /// - Parameters:
    ///   - regions: the coarse regions to compare with; stored when the run begins.
    ///   - ground: where on the slide the run looks; likewise.
    public func beginRun(
        slide: SlideRecord, model: Int64, settings: RunSettings, regions: [RegionRecord], ground: GroundRecord? = nil
    ) throws(StoreError) -> RunState {
        try write { db in
            let slideID = try ResultStore.storeSlide(slide, db)
            if let begun = try ResultStore.begunRun(slideID, model: model, settings: settings.text, db) { return begun }
            try db.execute(
                sql: """
                    INSERT INTO run (slide_id, model_id, settings, status, started_at, program_version, level0_per_pixel,
                        threshold, tile_side, tile_rows, engine, tissue_mm2)
                    VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    slideID, model, settings.text, ResultStore.now(), settings.programVersion, settings.level0PerPixel,
                    settings.threshold, settings.tileSide, settings.tileRows, settings.engine,
                    slide.tissueSquareMillimeters,
                ])
            let id = db.lastInsertedRowID
            try ResultStore.storeSurroundings(of: id, regions: regions, ground: ground, db)
            return RunState(id: id, isDone: false, nextTileRow: 0, frontier: nil)
        }
    }

    /// - Returns: the slide's row.
    private static func storeSlide(_ slide: SlideRecord, _ db: Database) throws -> Int64 {
        // Where another slide lay before, its results are those of a file that is no more.
        try db.execute(
            sql: "UPDATE slide SET is_replaced = 1 WHERE path = ? AND identity <> ?",
            arguments: [slide.path, slide.identity])
        try db.execute(
            sql: """
                INSERT INTO slide (name, file, path, identity, vendor, width, height, microns_per_pixel, scale_source,
                    tissue_mm2, bounds_x, bounds_y)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (identity, name, microns_per_pixel, scale_source) DO UPDATE SET file = excluded.file,
                    path = excluded.path, tissue_mm2 = excluded.tissue_mm2, is_replaced = 0
                """,
            arguments: [
                slide.name, URL(fileURLWithPath: slide.path).lastPathComponent, slide.path, slide.identity,
                slide.vendor, slide.width, slide.height, slide.micronsPerPixel, slide.scaleSource,
                slide.tissueSquareMillimeters, slide.boundsX, slide.boundsY,
            ])
        return try Int64.fetchOne(
            db,
            sql: "SELECT id FROM slide WHERE identity = ? AND name = ? AND microns_per_pixel = ? AND scale_source = ?",
            arguments: [slide.identity, slide.name, slide.micronsPerPixel, slide.scaleSource]) ?? 0
    }

    /// The run of a slide with a model of the same weights and these settings; one that failed goes on.
    private static func begunRun(_ slide: Int64, model: Int64, settings: String, _ db: Database) throws -> RunState? {
        let found = try Row.fetchOne(
            db,
            sql: """
                SELECT run.id, status, next_tile_row, frontier FROM run JOIN model ON model.id = model_id
                WHERE slide_id = ? AND settings = ?
                    AND fingerprint = (SELECT fingerprint FROM model WHERE id = ?) ORDER BY model_id = ? DESC
                """, arguments: [slide, settings, model, model])
        guard let run = found else { return nil }
        let (id, status): (Int64, String) = (try run.get(0), try run.get(1))
        if status == "failed" {
            try db.execute(sql: "UPDATE run SET status = 'running', message = NULL WHERE id = ?", arguments: [id])
        }
        return RunState(id: id, isDone: status == "done", nextTileRow: try run.get(2), frontier: try run.get(3))
    }

    /// Where a run looks, and the coarse regions that it is compared with.
    private static func storeSurroundings(
        of run: Int64, regions: [RegionRecord], ground: GroundRecord?, _ db: Database
    ) throws {
        if let ground {
            try db.execute(
                sql:
                    "INSERT INTO run_ground (run_id, side, columns, rows, is_found, squares) VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [run, ground.side, ground.columns, ground.rows, ground.isFound, ground.squares])
        }
        let insert = try db.makeStatement(
            sql: """
                INSERT INTO region (run_id, ordinal, level0_x, level0_y, level0_side, probability, class, prior_mean,
                    prior_deviation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        for (ordinal, region) in regions.enumerated() {
            try insert.execute(arguments: [
                run, ordinal, region.level0X, region.level0Y, region.level0Side, region.probability,
                region.coarseClass, region.priorMean, region.priorDeviation,
            ])
        }
    }

    /// Stores a finished tile row with the cells that it closed, and where to go on: one transaction.
    ///
    /// - Throws: ``StoreError`` where the row before is not the last one stored: another process is at the same run.
    ///
    /// - Parameters:
    ///   - quality: what the row adds to the squares of `qualitySide` level-0 px in which quality is judged.
    public func finishTileRow(
        run: Int64, nextTileRow: Int, frontier: Data, tiles: [TileRecord], cells: [CellRecord],
        regionSums: [RegionSum], quality: [QualityRecord] = [], qualitySide: Double = 0
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
            try ResultStore.add(quality, side: qualitySide, run: run, db)
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

    /// How many squares with tissue are flagged so far.
    public func flaggedSquares(run: Int64) throws(StoreError) -> Int {
        try read { db in
            try Int.fetchOne(
                db, sql: "SELECT COUNT(*) FROM quality WHERE run_id = ? AND flag IS NOT NULL AND tissue_mm2 > 0",
                arguments: [run]) ?? 0
        }
    }

    private static func add(_ quality: [QualityRecord], side: Double, run: Int64, _ db: Database) throws {
        let add = try db.cachedStatement(
            sql: """
                INSERT INTO quality (run_id, square_row, square_column, level0_side, samples, tissue, pen, blocks,
                    dark_blocks, contrast, grey_sum, grey_square, tissue_mm2, cells, cell_area_um2)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT DO UPDATE SET samples = samples + excluded.samples, tissue = tissue + excluded.tissue,
                    pen = pen + excluded.pen, blocks = blocks + excluded.blocks,
                    dark_blocks = dark_blocks + excluded.dark_blocks, contrast = contrast + excluded.contrast,
                    grey_sum = grey_sum + excluded.grey_sum, grey_square = grey_square + excluded.grey_square,
                    tissue_mm2 = tissue_mm2 + excluded.tissue_mm2, cells = cells + excluded.cells,
                    cell_area_um2 = cell_area_um2 + excluded.cell_area_um2
                """)
        for square in quality {
            try add.execute(arguments: [
                run, square.row, square.column, side, square.samples, square.tissue, square.pen, square.blocks,
                square.darkBlocks, square.contrast, square.greySum, square.greySquare,
                square.tissueSquareMillimeters, square.cells, square.cellAreaSquareMicrons,
            ])
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

    /// Marks a run as failed; what it has stored stays, and running again goes on from there. One that another process has finished
    /// stays finished.
    public func failRun(_ run: Int64, message: String) throws(StoreError) {
        try write { db in
            try db.execute(
                sql: "UPDATE run SET status = 'failed', message = ? WHERE id = ? AND status <> 'done'",
                arguments: [message, run])
        }
    }

    /// Removes a run with everything that it has stored.
    public func discardRun(_ run: Int64) throws(StoreError) {
        try write { db in try db.execute(sql: "DELETE FROM run WHERE id = ?", arguments: [run]) }
    }

    /// A run's cells, tissue and density as the view `slide_summary` has them.
    public func summary(
        run: Int64
    ) throws(StoreError) -> (cells: Int, tissueSquareMillimeters: Double?, cellsPerSquareMillimeter: Double?) {
        try read { db in
            let row = try Row.fetchOne(
                db, sql: "SELECT cells, tissue_mm2, cells_per_mm2 FROM slide_summary WHERE run_id = ?", arguments: [run]
            )
            guard let row else { return (0, nil, nil) }
            return (try row.get(0, as: Int?.self) ?? 0, try row.get(1), try row.get(2))
        }
    }

    /// Where on its slide a run looked; nil of runs before that was stored.
    public func ground(run: Int64) throws(StoreError) -> GroundRecord? {
        try read { db in
            try Row.fetchOne(
                db, sql: "SELECT side, columns, rows, is_found, squares FROM run_ground WHERE run_id = ?",
                arguments: [run]
            ).map {
                GroundRecord(
                    side: try $0.get(0), columns: try $0.get(1), rows: try $0.get(2), isFound: try $0.get(3),
                    squares: try $0.get(4))
            }
        }
    }

    /// The number of cells that a run has stored.
    public func cellCount(run: Int64) throws(StoreError) -> Int {
        try read { db in
            try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM cell WHERE run_id = ?", arguments: [run]) ?? 0
        }
    }
}
