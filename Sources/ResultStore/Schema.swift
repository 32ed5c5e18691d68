internal import GRDB

/// The layout of a results file. It is documented in docs/schema.md; changes are made by adding a migration.
enum Schema {
    /// "GRTC", in the file's header, tells our files from those of others.
    static let applicationID = 0x4752_5443

    /// Each step takes a file from the version that is its index to the next.
    static let migrations: [String] = [version1, version2, version3, version4, version5, version6]

    static var currentVersion: Int { migrations.count }

    /// Squares that readers count, each reader's counts beside the others'; what was counted by class so far is among them. What
    /// readers draw and mark on slides. Jobs may be trainings.
    static let version6 = """
        CREATE TABLE square (
            slide TEXT NOT NULL,
            level0_x REAL NOT NULL,
            level0_y REAL NOT NULL,
            level0_side REAL NOT NULL CHECK (level0_side > 0),
            side_um REAL NOT NULL CHECK (side_um > 0),
            class INTEGER,
            round INTEGER NOT NULL,
            added_at TEXT NOT NULL,
            PRIMARY KEY (slide, level0_x, level0_y, side_um)
        ) WITHOUT ROWID;

        CREATE TABLE square_reading (
            slide TEXT NOT NULL,
            level0_x REAL NOT NULL,
            level0_y REAL NOT NULL,
            side_um REAL NOT NULL,
            reader TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('open', 'counted', 'skipped')),
            lymphocytes INTEGER NOT NULL CHECK (lymphocytes >= 0),
            points TEXT NOT NULL,
            note TEXT NOT NULL,
            read_at TEXT NOT NULL,
            PRIMARY KEY (slide, level0_x, level0_y, side_um, reader),
            FOREIGN KEY (slide, level0_x, level0_y, side_um) REFERENCES square ON DELETE CASCADE
        ) WITHOUT ROWID;

        INSERT OR IGNORE INTO square
            SELECT slide, level0_x, level0_y, level0_side, 50, class, 1, MIN(counted_at) FROM region_count
            WHERE level0_side > 0 GROUP BY slide, level0_x, level0_y;
        INSERT OR IGNORE INTO square_reading
            SELECT slide, level0_x, level0_y, 50, counted_by, 'counted', lymphocytes, points, '', counted_at
            FROM region_count WHERE level0_side > 0;
        DROP TABLE region_count;

        CREATE TABLE annotation (
            id INTEGER PRIMARY KEY,
            slide TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('region', 'wrong', 'missing')),
            points TEXT NOT NULL,
            cell_id INTEGER,
            note TEXT NOT NULL,
            reader TEXT NOT NULL,
            made_at TEXT NOT NULL
        );
        CREATE INDEX annotation_by_slide ON annotation (slide);

        ALTER TABLE job ADD COLUMN kind TEXT NOT NULL DEFAULT 'segment' CHECK (kind IN ('segment', 'train'));
        ALTER TABLE job ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

        CREATE VIEW counted_square AS
            SELECT slide, level0_x AS x, level0_y AS y, side_um, reader, lymphocytes, class, round, read_at
            FROM square JOIN square_reading USING (slide, level0_x, level0_y, side_um) WHERE status = 'counted';
        """

    /// Slides are known by content and scale, models by name as well as fingerprint, so that slides of one name lie side by
    /// side and a model's new name leaves history alone. Runs know their tissue; what could not be used is kept with its
    /// reason; each reader's counts are kept; jobs end as they ended. Quality is judged in squares of a fixed size instead of tiles,
    /// so that densities do not depend on the tiles' side; older runs have no squares, and theirs go by tiles. The views are made
    /// anew at the end.
    ///
    /// Runs that are not finished begin anew: cells of tiles and cells of tissue, or squares of a part of a slide, would be one
    /// result otherwise.
    ///
    /// Tables are built anew, so foreign keys must be off while it runs.
    static let version5 = """
        DROP VIEW slide_summary;
        DROP VIEW region_disagreement;

        DELETE FROM cell WHERE run_id IN (SELECT id FROM run WHERE status <> 'done');
        DELETE FROM tile WHERE run_id IN (SELECT id FROM run WHERE status <> 'done');
        DELETE FROM region WHERE run_id IN (SELECT id FROM run WHERE status <> 'done');
        DELETE FROM cell_evaluation WHERE run_id IN (SELECT id FROM run WHERE status <> 'done');
        DELETE FROM run WHERE status <> 'done';

        CREATE TABLE slide_new (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            file TEXT NOT NULL,
            path TEXT NOT NULL,
            identity TEXT NOT NULL,
            is_replaced INTEGER NOT NULL DEFAULT 0,
            vendor TEXT,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            microns_per_pixel REAL NOT NULL CHECK (microns_per_pixel > 0),
            scale_source TEXT NOT NULL,
            tissue_mm2 REAL,
            bounds_x REAL NOT NULL DEFAULT 0,
            bounds_y REAL NOT NULL DEFAULT 0,
            UNIQUE (identity, name, microns_per_pixel, scale_source)
        );
        INSERT INTO slide_new (id, name, file, path, identity, vendor, width, height, microns_per_pixel, scale_source,
                tissue_mm2, bounds_x, bounds_y)
            SELECT id, name, REPLACE(path, RTRIM(path, REPLACE(path, '/', '')), ''), path,
                'unknown-' || name || '-' || width || 'x' || height, vendor, width, height, microns_per_pixel,
                scale_source, tissue_mm2, bounds_x, bounds_y FROM slide;
        DROP TABLE slide;
        ALTER TABLE slide_new RENAME TO slide;
        CREATE INDEX slide_by_name ON slide (name);

        CREATE TABLE model_new (
            id INTEGER PRIMARY KEY,
            fingerprint TEXT NOT NULL,
            name TEXT NOT NULL,
            path TEXT NOT NULL,
            microns_per_pixel REAL NOT NULL,
            description TEXT NOT NULL,
            UNIQUE (fingerprint, name)
        );
        INSERT INTO model_new SELECT id, fingerprint, name, path, microns_per_pixel, description FROM model;
        DROP TABLE model;
        ALTER TABLE model_new RENAME TO model;

        ALTER TABLE run ADD COLUMN tissue_mm2 REAL;
        UPDATE run SET tissue_mm2 = (SELECT tissue_mm2 FROM slide WHERE slide.id = slide_id);

        CREATE TABLE run_ground (
            run_id INTEGER PRIMARY KEY REFERENCES run(id) ON DELETE CASCADE,
            side INTEGER NOT NULL,
            columns INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            is_found INTEGER NOT NULL,
            squares BLOB NOT NULL
        );

        CREATE TABLE failed_input (
            path TEXT PRIMARY KEY,
            file TEXT NOT NULL,
            reason TEXT NOT NULL,
            failed_at TEXT NOT NULL
        ) WITHOUT ROWID;

        CREATE TABLE job_new (
            id INTEGER PRIMARY KEY,
            model TEXT NOT NULL,
            status TEXT NOT NULL CHECK
                (status IN ('queued', 'running', 'done', 'done with failures', 'failed', 'stopped')),
            message TEXT,
            created_at TEXT NOT NULL,
            finished_at TEXT
        );
        INSERT INTO job_new SELECT id, model, REPLACE(status, 'cancelled', 'stopped'), message, created_at, finished_at
            FROM job;
        DROP TABLE job;
        ALTER TABLE job_new RENAME TO job;

        CREATE TABLE region_count_new (
            slide TEXT NOT NULL,
            level0_x REAL NOT NULL,
            level0_y REAL NOT NULL,
            level0_side REAL NOT NULL,
            class INTEGER NOT NULL,
            lymphocytes INTEGER NOT NULL CHECK (lymphocytes >= 0),
            points TEXT NOT NULL,
            counted_by TEXT NOT NULL,
            counted_at TEXT NOT NULL,
            PRIMARY KEY (slide, level0_x, level0_y, counted_by)
        ) WITHOUT ROWID;
        INSERT INTO region_count_new SELECT * FROM region_count;
        DROP TABLE region_count;
        ALTER TABLE region_count_new RENAME TO region_count;

        CREATE TABLE quality (
            run_id INTEGER NOT NULL REFERENCES run(id) ON DELETE CASCADE,
            square_row INTEGER NOT NULL,
            square_column INTEGER NOT NULL,
            level0_side REAL NOT NULL,
            samples INTEGER NOT NULL DEFAULT 0,
            tissue INTEGER NOT NULL DEFAULT 0,
            pen INTEGER NOT NULL DEFAULT 0,
            blocks INTEGER NOT NULL DEFAULT 0,
            dark_blocks INTEGER NOT NULL DEFAULT 0,
            contrast REAL NOT NULL DEFAULT 0,
            grey_sum REAL NOT NULL DEFAULT 0,
            grey_square REAL NOT NULL DEFAULT 0,
            tissue_mm2 REAL NOT NULL DEFAULT 0,
            cells INTEGER NOT NULL DEFAULT 0,
            cell_area_um2 REAL NOT NULL DEFAULT 0,
            flag TEXT GENERATED ALWAYS AS (CASE
                WHEN pen > 0.05 * samples THEN 'pen'
                WHEN dark_blocks > 0.3 * blocks * MAX(tissue * 1.0 / MAX(samples, 1), 0.01) THEN 'fold'
                WHEN tissue > 500 AND (contrast / (2.0 * tissue)) * (contrast / (2.0 * tissue)) <
                    0.01 * MAX(grey_square / tissue - (grey_sum / tissue) * (grey_sum / tissue), 1) THEN 'blur'
                END) VIRTUAL,
            PRIMARY KEY (run_id, square_row, square_column)
        ) WITHOUT ROWID;

        CREATE VIEW slide_summary AS
            SELECT slide.name AS slide, model.name AS model, run.id AS run_id, run.status,
                sums.cells, ROUND(COALESCE(sums.tissue, run.tissue_mm2), 3) AS tissue_mm2,
                ROUND(CASE WHEN squares.run_id IS NOT NULL THEN squares.cells / NULLIF(squares.tissue, 0)
                    WHEN sums.good_tissue IS NULL THEN sums.cells / NULLIF(run.tissue_mm2, 0)
                    ELSE sums.good_cells / NULLIF(sums.good_tissue, 0) END, 1) AS cells_per_mm2,
                ROUND(sums.area / NULLIF(sums.cells, 0), 1) AS mean_area_um2,
                sums.unreadable AS unreadable_tiles,
                ROUND(sums.area / 1e6 / NULLIF(COALESCE(sums.tissue, run.tissue_mm2), 0), 4) AS covered_fraction,
                COALESCE(squares.flagged, sums.flagged) AS flagged_squares,
                ROUND(run.nearest_neighbor_index, 3) AS nearest_neighbor_index, ROUND(run.seam_score, 3) AS seam_score,
                slide.file AS file, slide.is_replaced AS is_replaced
            FROM run JOIN slide ON slide.id = run.slide_id JOIN model ON model.id = run.model_id
            LEFT JOIN (
                SELECT run_id, SUM(cells) AS cells, SUM(cell_area_um2) AS area, SUM(tissue_mm2) AS tissue,
                    SUM(CASE WHEN flag IS NULL THEN tissue_mm2 END) AS good_tissue,
                    SUM(CASE WHEN flag IS NULL THEN cells END) * 1.0 AS good_cells,
                    SUM(status = 'unreadable') AS unreadable, SUM(flag IS NOT NULL) AS flagged
                FROM tile GROUP BY run_id) AS sums ON sums.run_id = run.id
            LEFT JOIN (
                SELECT run_id, TOTAL(CASE WHEN flag IS NULL THEN tissue_mm2 END) AS tissue,
                    TOTAL(CASE WHEN flag IS NULL THEN cells END) AS cells,
                    SUM(flag IS NOT NULL AND tissue_mm2 > 0) AS flagged
                FROM quality GROUP BY run_id) AS squares ON squares.run_id = run.id;

        CREATE VIEW region_disagreement AS
            SELECT slide.name AS slide, region.run_id, region.ordinal, level0_x, level0_y, level0_side, probability,
                class, prior_mean, prior_deviation, predicted_fraction, disagreement AS z_score
            FROM region JOIN run ON run.id = region.run_id JOIN slide ON slide.id = run.slide_id
            WHERE pixels > 0
            ORDER BY ABS(disagreement) DESC;
        """

    /// Whether a model's probabilities are frequencies.
    static let version2 = "ALTER TABLE evaluation ADD COLUMN calibration_error REAL;"

    /// What the service keeps: its queue of jobs, and counts of lymphocytes in sampled regions.
    static let version4 = """
        CREATE TABLE job (
            id INTEGER PRIMARY KEY,
            model TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
            message TEXT,
            created_at TEXT NOT NULL,
            finished_at TEXT
        );

        CREATE TABLE job_slide (
            job_id INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE,
            ordinal INTEGER NOT NULL,
            slide TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('queued', 'done', 'failed')),
            message TEXT,
            PRIMARY KEY (job_id, ordinal)
        ) WITHOUT ROWID;

        CREATE TABLE region_count (
            slide TEXT NOT NULL,
            level0_x REAL NOT NULL,
            level0_y REAL NOT NULL,
            level0_side REAL NOT NULL,
            class INTEGER NOT NULL,
            lymphocytes INTEGER NOT NULL CHECK (lymphocytes >= 0),
            points TEXT NOT NULL,
            counted_by TEXT NOT NULL,
            counted_at TEXT NOT NULL,
            PRIMARY KEY (slide, level0_x, level0_y)
        ) WITHOUT ROWID;
        """
}
