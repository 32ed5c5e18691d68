/// The first versions of the layout.
extension Schema {
    /// Quality of tiles, sums that need no scan over the cells, statistics of a run, and views over them.
    static let version3 = """
        ALTER TABLE slide ADD COLUMN bounds_x REAL NOT NULL DEFAULT 0;
        ALTER TABLE slide ADD COLUMN bounds_y REAL NOT NULL DEFAULT 0;
        ALTER TABLE run ADD COLUMN engine TEXT NOT NULL DEFAULT '';
        ALTER TABLE run ADD COLUMN seconds REAL NOT NULL DEFAULT 0;
        ALTER TABLE run ADD COLUMN profile TEXT;
        ALTER TABLE run ADD COLUMN nearest_neighbor_index REAL;
        ALTER TABLE run ADD COLUMN seam_score REAL;
        ALTER TABLE run ADD COLUMN seam_score_error REAL;
        ALTER TABLE tile ADD COLUMN tissue_mm2 REAL;
        ALTER TABLE tile ADD COLUMN pen REAL;
        ALTER TABLE tile ADD COLUMN fold REAL;
        ALTER TABLE tile ADD COLUMN sharpness REAL;
        ALTER TABLE tile ADD COLUMN flag TEXT;
        ALTER TABLE tile ADD COLUMN cells INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE tile ADD COLUMN cell_area_um2 REAL NOT NULL DEFAULT 0;
        UPDATE tile SET (cells, cell_area_um2) = (
            SELECT COUNT(*), TOTAL(cell.area_um2) FROM cell JOIN run ON run.id = cell.run_id
            WHERE cell.run_id = tile.run_id
                AND tile.tile_row = CAST(cell.centroid_y / (run.tile_side * run.level0_per_pixel) AS INTEGER)
                AND tile.tile_column = CAST(cell.centroid_x / (run.tile_side * run.level0_per_pixel) AS INTEGER));

        DROP VIEW slide_summary;
        CREATE VIEW slide_summary AS
            SELECT slide.name AS slide, model.name AS model, run.id AS run_id, run.status,
                sums.cells, ROUND(COALESCE(sums.tissue, slide.tissue_mm2), 3) AS tissue_mm2,
                ROUND(CASE WHEN sums.good_tissue IS NULL THEN sums.cells / NULLIF(slide.tissue_mm2, 0)
                    ELSE sums.good_cells / NULLIF(sums.good_tissue, 0) END, 1) AS cells_per_mm2,
                ROUND(sums.area / NULLIF(sums.cells, 0), 1) AS mean_area_um2,
                sums.unreadable AS unreadable_tiles,
                ROUND(sums.area / 1e6 / NULLIF(COALESCE(sums.tissue, slide.tissue_mm2), 0), 4) AS covered_fraction,
                sums.flagged AS flagged_tiles,
                ROUND(run.nearest_neighbor_index, 3) AS nearest_neighbor_index, ROUND(run.seam_score, 3) AS seam_score
            FROM run JOIN slide ON slide.id = run.slide_id JOIN model ON model.id = run.model_id
            LEFT JOIN (
                SELECT run_id, SUM(cells) AS cells, SUM(cell_area_um2) AS area, SUM(tissue_mm2) AS tissue,
                    SUM(CASE WHEN flag IS NULL THEN tissue_mm2 END) AS good_tissue,
                    SUM(CASE WHEN flag IS NULL THEN cells END) * 1.0 AS good_cells,
                    SUM(status = 'unreadable') AS unreadable, SUM(flag IS NOT NULL) AS flagged
                FROM tile GROUP BY run_id) AS sums ON sums.run_id = run.id;

        CREATE VIEW region_disagreement AS
            SELECT slide.name AS slide, region.run_id, region.ordinal, level0_x, level0_y, level0_side, probability,
                class, prior_mean, prior_deviation, predicted_fraction, disagreement AS z_score
            FROM region JOIN run ON run.id = region.run_id JOIN slide ON slide.id = run.slide_id
            WHERE pixels > 0
            ORDER BY ABS(disagreement) DESC;
        """

    static let version1 = """
        CREATE TABLE slide (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            path TEXT NOT NULL,
            vendor TEXT,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            microns_per_pixel REAL NOT NULL CHECK (microns_per_pixel > 0),
            scale_source TEXT NOT NULL,
            tissue_mm2 REAL
        );

        CREATE TABLE model (
            id INTEGER PRIMARY KEY,
            fingerprint TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            path TEXT NOT NULL,
            microns_per_pixel REAL NOT NULL,
            description TEXT NOT NULL
        );

        CREATE TABLE run (
            id INTEGER PRIMARY KEY,
            slide_id INTEGER NOT NULL REFERENCES slide(id) ON DELETE CASCADE,
            model_id INTEGER NOT NULL REFERENCES model(id) ON DELETE CASCADE,
            settings TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed')),
            message TEXT,
            started_at TEXT NOT NULL,
            finished_at TEXT,
            program_version TEXT NOT NULL,
            level0_per_pixel REAL NOT NULL,
            threshold REAL NOT NULL,
            tile_side INTEGER NOT NULL,
            tile_rows INTEGER NOT NULL,
            next_tile_row INTEGER NOT NULL DEFAULT 0,
            frontier BLOB,
            UNIQUE (slide_id, model_id, settings)
        );

        CREATE TABLE tile (
            run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            tile_row INTEGER NOT NULL,
            tile_column INTEGER NOT NULL,
            level0_x REAL NOT NULL,
            level0_y REAL NOT NULL,
            level0_width REAL NOT NULL,
            level0_height REAL NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('done', 'unreadable')),
            message TEXT,
            mean_probability REAL,
            PRIMARY KEY (run_id, tile_row, tile_column)
        ) WITHOUT ROWID;

        CREATE TABLE region (
            run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL,
            level0_x REAL NOT NULL,
            level0_y REAL NOT NULL,
            level0_side REAL NOT NULL,
            probability REAL NOT NULL,
            class INTEGER NOT NULL,
            prior_mean REAL NOT NULL,
            prior_deviation REAL NOT NULL,
            pixels INTEGER NOT NULL DEFAULT 0,
            probability_sum REAL NOT NULL DEFAULT 0,
            predicted_fraction REAL GENERATED ALWAYS AS (probability_sum / NULLIF(pixels, 0)) VIRTUAL,
            disagreement REAL GENERATED ALWAYS AS
                ((probability_sum / NULLIF(pixels, 0) - prior_mean) / prior_deviation) VIRTUAL,
            PRIMARY KEY (run_id, ordinal)
        ) WITHOUT ROWID;

        CREATE TABLE cell (
            id INTEGER PRIMARY KEY,
            run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            centroid_x REAL NOT NULL,
            centroid_y REAL NOT NULL,
            area_um2 REAL NOT NULL,
            perimeter_um REAL NOT NULL,
            circularity REAL NOT NULL,
            mean_probability REAL NOT NULL,
            mean_hematoxylin_od REAL NOT NULL,
            polygon BLOB NOT NULL,
            mask_x INTEGER NOT NULL,
            mask_y INTEGER NOT NULL,
            mask_width INTEGER NOT NULL,
            mask_height INTEGER NOT NULL,
            mask BLOB NOT NULL
        );
        CREATE INDEX cell_by_run ON cell (run_id);

        CREATE VIRTUAL TABLE cell_rtree USING rtree (id, min_x, max_x, min_y, max_y);
        CREATE TRIGGER cell_deleted AFTER DELETE ON cell BEGIN
            DELETE FROM cell_rtree WHERE id = OLD.id;
        END;

        CREATE TABLE patch_set (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            path TEXT NOT NULL UNIQUE
        );

        CREATE TABLE evaluation (
            id INTEGER PRIMARY KEY,
            patch_set_id INTEGER NOT NULL REFERENCES patch_set(id) ON DELETE CASCADE,
            model_id INTEGER NOT NULL REFERENCES model(id) ON DELETE CASCADE,
            method TEXT NOT NULL,
            positives INTEGER NOT NULL,
            negatives INTEGER NOT NULL,
            auc REAL NOT NULL,
            auc_lower REAL NOT NULL,
            auc_upper REAL NOT NULL,
            darkness_auc REAL NOT NULL,
            darkness_auc_lower REAL NOT NULL,
            darkness_auc_upper REAL NOT NULL,
            created_at TEXT NOT NULL,
            UNIQUE (patch_set_id, model_id, method)
        );

        CREATE TABLE patch_score (
            evaluation_id INTEGER NOT NULL REFERENCES evaluation(id) ON DELETE CASCADE,
            file TEXT NOT NULL,
            label TEXT NOT NULL,
            is_lymphocyte INTEGER NOT NULL,
            log_odds REAL NOT NULL,
            darkness REAL NOT NULL,
            PRIMARY KEY (evaluation_id, file)
        ) WITHOUT ROWID;

        CREATE TABLE cell_evaluation (
            run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            truth TEXT NOT NULL,
            within_um REAL NOT NULL,
            true_cells INTEGER NOT NULL,
            found_cells INTEGER NOT NULL,
            matched INTEGER NOT NULL,
            precision REAL NOT NULL,
            recall REAL NOT NULL,
            f1 REAL NOT NULL,
            created_at TEXT NOT NULL,
            PRIMARY KEY (run_id, truth, within_um)
        ) WITHOUT ROWID;

        CREATE VIEW slide_summary AS
            SELECT slide.name AS slide, model.name AS model, run.id AS run_id, run.status,
                (SELECT COUNT(*) FROM cell WHERE cell.run_id = run.id) AS cells,
                ROUND(slide.tissue_mm2, 3) AS tissue_mm2,
                ROUND((SELECT COUNT(*) FROM cell WHERE cell.run_id = run.id) / NULLIF(slide.tissue_mm2, 0), 1)
                    AS cells_per_mm2,
                ROUND((SELECT AVG(area_um2) FROM cell WHERE cell.run_id = run.id), 1) AS mean_area_um2,
                (SELECT COUNT(*) FROM tile WHERE tile.run_id = run.id AND tile.status = 'unreadable')
                    AS unreadable_tiles
            FROM run JOIN slide ON slide.id = run.slide_id JOIN model ON model.id = run.model_id;
        """
}
