import BatchWork
import Failures
import Foundation
import GraticuleTesting
import Raster
import ResultStore
import Testing
import TiledPrediction
import WholeSlide

@testable import Lymphocytes

/// Segmentation with several threads, stopped, and over tissue that is given.
@Suite struct StreamingTests {
    private var slide: URL { PhantomFixture.folder.appendingPathComponent("phantom-1.svs") }

    private func segmenter(_ folder: URL, _ name: String, threads: Int = 1, tile: Int = 128) throws -> SlideSegmenter {
        var settings = SegmentationSettings()
        settings.tileSide = tile
        settings.leastArea = 1
        var segmenter = SlideSegmenter(
            model: try PhantomFixture.darknessModel(folder: folder),
            store: try ResultStore(folder.appendingPathComponent(name)), settings: settings)
        segmenter.threads = threads
        return segmenter
    }

    private func rows(_ store: ResultStore, _ sql: String) throws -> [[ResultStore.Value]] {
        var rows: [[ResultStore.Value]] = []
        try store.query(sql) { _, values in if let values { rows.append(values) } }
        return rows
    }

    private let cells = """
        SELECT centroid_x, centroid_y, area_um2, mean_probability, mean_hematoxylin_od, polygon, mask FROM cell
        ORDER BY centroid_y, centroid_x
        """

    @Test func threadsDoNotChangeTheCells() throws {
        try TestFolders.withTemporary { folder in
            var found: [[[ResultStore.Value]]] = []
            for threads in [1, 2, 5] {
                let segmenter = try segmenter(folder, "\(threads).sqlite", threads: threads)
                _ = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
                found.append(try rows(segmenter.store, cells))
            }
            #expect(found[0].count > 300)
            #expect(found[0] == found[1] && found[0] == found[2])
        }
    }

    @Test func aStopEndsAtARowAndIsGoneOnFrom() throws {
        try TestFolders.withTemporary { folder in
            let whole = try segmenter(folder, "whole.sqlite")
            _ = try whole.segment(slide, modelID: whole.registerModel()) { _ in }
            var stopped = try segmenter(folder, "stopped.sqlite", threads: 2)
            let request = stopped.stop
            let model = try stopped.registerModel()
            let first = try stopped.segment(slide, modelID: model) { progress in
                if progress.tilesDone >= 3 { request.stop() }
            }
            #expect(first.wasStopped && !first.wasDone)
            let state = try rows(stopped.store, "SELECT status, next_tile_row < tile_rows, seconds > 0 FROM run")
            #expect(state == [[.text("running"), .integer(1), .integer(1)]])
            stopped.stop = StopRequest()
            let second = try stopped.segment(slide, modelID: model) { _ in }
            #expect(!second.wasStopped)
            #expect(try rows(stopped.store, cells) == rows(whole.store, cells))
            let profile = try rows(stopped.store, "SELECT json_extract(profile, '$.infer') > 0, engine FROM run")
            #expect(profile == [[.integer(1), .text("darkness")]])
        }
    }

    @Test func sumsOfTilesAreTheCells() throws {
        try TestFolders.withTemporary { folder in
            let segmenter = try segmenter(folder, "a.sqlite", threads: 2)
            let outcome = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
            let sums = try rows(
                segmenter.store,
                """
                SELECT SUM(cells) = (SELECT COUNT(*) FROM cell),
                    ABS(SUM(cell_area_um2) - (SELECT SUM(area_um2) FROM cell)) < 1e-6,
                    ABS(SUM(tissue_mm2) - (SELECT tissue_mm2 FROM slide)) < 1e-9 FROM tile
                """)
            #expect(sums == [[.integer(1), .integer(1), .integer(1)]])
            let summary = try rows(
                segmenter.store, "SELECT cells, covered_fraction > 0, nearest_neighbor_index > 0 FROM slide_summary")
            #expect(summary == [[.integer(Int64(outcome.cells)), .integer(1), .integer(1)]])
        }
    }

    @Test func tissueMayBeGiven() throws {
        try TestFolders.withTemporary { folder in
            // The left half: as a picture, as QuPath's outline, and by the slide's name in a folder.
            var picture = Plane<UInt8>(width: 40, height: 40, repeating: 0)
            for y in 0..<40 { for x in 0..<20 { picture[x, y] = 255 } }
            let png = folder.appendingPathComponent("half.png")
            try PNG.write(picture, to: png)
            let masks = folder.appendingPathComponent("masks")
            try FileManager.default.createDirectory(at: masks, withIntermediateDirectories: true)
            let outline = masks.appendingPathComponent("phantom-1.geojson")
            try Data(
                """
                {"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon",
                "coordinates":[[[0,0],[400,0],[400,800],[0,800],[0,0]]]}}]}
                """.utf8
            ).write(to: outline)
            var areas: [Double] = []
            for (index, source) in [png.path, outline.path, masks.path, "none", "auto"].enumerated() {
                var settings = SegmentationSettings()
                settings.tissue = TissueSource(source)
                settings.tileSide = 128
                let segmenter = SlideSegmenter(
                    model: try PhantomFixture.darknessModel(folder: folder),
                    store: try ResultStore(folder.appendingPathComponent("\(index).sqlite")), settings: settings)
                let outcome = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
                areas.append(outcome.tissueSquareMillimeters)
                let right = try rows(segmenter.store, "SELECT COUNT(*), SUM(centroid_x < 400) FROM cell")
                if index < 3 { #expect(right[0][0] == right[0][1], "no cell counts right of the outline") }
            }
            #expect(abs(areas[0] - areas[1]) < 1e-9 && areas[1] == areas[2])
            #expect(abs(areas[0] - 0.08) < 0.001 && abs(areas[3] - 0.16) < 0.001)
            #expect(areas[4] < areas[3])
        }
    }

    @Test(arguments: [
        ("half.png", "nonsense"), ("a.geojson", "{"), ("a.geojson", "{\"type\":\"FeatureCollection\",\"features\":[]}"),
        ("a.json", "[1,2,3]"),
    ]) func brokenOutlinesAreOneSentence(name: String, text: String) throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent(name)
            try Data(text.utf8).write(to: file)
            let slide = try Slide(slide)
            let error = try #require(throws: SlideError.self) {
                try TissueMask(slide: slide, scale: slide.scale(), source: .outlines(file))
            }
            #expect(error.message.contains(name))
        }
        #expect(throws: SlideError.self) { try TissueSource("/nowhere").resolved(for: SlideFile(slide)) }
    }

    @Test func anOutlinedAreaHasTheSameCellsWhateverTheTiles() throws {
        try TestFolders.withTemporary { folder in
            let outline = folder.appendingPathComponent("roi.geojson")
            let ring = "[[203,211],[587,203],[611,590],[403,700],[190,540],[203,211]]"
            try Data(#"{"type":"Polygon","coordinates":[\#(ring),[[300,300],[420,300],[420,420],[300,420]]]}"#.utf8)
                .write(to: outline)
            func cells(_ tissue: TissueSource, tile: Int) throws -> [[ResultStore.Value]] {
                var settings = SegmentationSettings()
                settings.tissue = tissue
                settings.tileSide = tile
                let segmenter = SlideSegmenter(
                    model: try PhantomFixture.darknessModel(folder: folder),
                    store: try ResultStore(folder.appendingPathComponent("\(UUID().uuidString).sqlite")),
                    settings: settings)
                let outcome = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
                let found = try rows(
                    segmenter.store, "SELECT centroid_x, centroid_y, area_um2, polygon FROM cell ORDER BY 1, 2")
                #expect(found.count == outcome.cells)
                // Tiles' sums are those of the cells.
                let sums = try rows(segmenter.store, "SELECT SUM(cells) FROM tile")
                #expect(sums == [[.integer(Int64(found.count))]])
                return found
            }
            let opened = try Slide(slide)
            let tissue = try TissueMask(slide: opened, scale: opened.scale(), source: .outlines(outline))
            let inside = try cells(.everywhere, tile: 512).filter { cell in
                guard case .real(let x) = cell[0], case .real(let y) = cell[1] else { return false }
                return tissue.contains(level0X: x, level0Y: y)
            }
            #expect(inside.count > 100)
            for tile in [64, 128, 512, 1024] {
                #expect(try cells(.outlines(outline), tile: tile) == inside, "tiles of \(tile) px")
            }
        }
    }

    /// Ink and blur are judged in squares of their own, so that densities do not depend on the tiles either.
    @Test func densitiesDoNotDependOnTheTiles() throws {
        try TestFolders.withTemporary { folder in
            func summary(_ tile: Int) throws -> [[ResultStore.Value]] {
                var settings = SegmentationSettings()
                settings.tileSide = tile
                let segmenter = SlideSegmenter(
                    model: try PhantomFixture.darknessModel(folder: folder),
                    store: try ResultStore(folder.appendingPathComponent("\(tile).sqlite")), settings: settings)
                _ = try segmenter.segment(slide, modelID: segmenter.registerModel()) { _ in }
                // Tissue is a sum of floating point numbers in another order.
                return try rows(
                    segmenter.store,
                    """
                    SELECT square_row, square_column, samples, tissue, pen, blocks, dark_blocks, contrast, grey_sum,
                        grey_square, ROUND(tissue_mm2, 9), cells, ROUND(cell_area_um2, 3), flag FROM quality ORDER BY 1, 2
                    """)
                    + rows(
                        segmenter.store,
                        "SELECT cells, tissue_mm2, cells_per_mm2, covered_fraction, flagged_squares, nearest_neighbor_index FROM slide_summary"
                    )
                    + rows(
                        segmenter.store,
                        "SELECT (SELECT SUM(cells) FROM quality) - (SELECT COUNT(*) FROM cell), COUNT(*) FROM tile JOIN quality ON tile_row = square_row AND tile_column = square_column WHERE tile_side IS NOT 512 OR tile.flag IS NOT quality.flag"
                            .replacingOccurrences(of: "tile_side IS NOT 512 OR ", with: tile == 512 ? "" : "0 AND "))
            }
            let wanted = try summary(512)
            #expect(wanted.count > 4 && wanted.last == [.integer(0), .integer(0)])
            for tile in [64, 192, 1024] { #expect(try summary(tile) == wanted, "tiles of \(tile) px") }
        }
    }

    @Test func aReplacedSlideOrAnotherScaleIsNotDoneAlready() throws {
        try TestFolders.withTemporary { folder in
            let place = folder.appendingPathComponent("x.svs")
            let store = try ResultStore(folder.appendingPathComponent("r.sqlite"))
            let segmenter = SlideSegmenter(
                model: try PhantomFixture.darknessModel(folder: folder), store: store, settings: SegmentationSettings())
            func run(_ source: String) throws -> SlideSegmenter.Outcome {
                try? FileManager.default.removeItem(at: place)
                try FileManager.default.copyItem(at: PhantomFixture.folder.appendingPathComponent(source), to: place)
                return try segmenter.segment(place, modelID: segmenter.registerModel()) { _ in }
            }
            let first = try run("phantom-1.svs")
            #expect(!first.wasDone)
            #expect(try run("phantom-1.svs").wasDone, "the same content is the same slide")
            let second = try run("phantom-2.svs")
            #expect(!second.wasDone && second.cells != first.cells, "another file of the name is another slide")
        }
    }
}

@Suite struct TileQualityTests {
    /// Nuclei on stroma, with edges, as the slides of the demo.
    private func tissue() throws -> RGBImage {
        let slide = try Slide(PhantomFixture.folder.appendingPathComponent("phantom-1.svs"))
        return try slide.read(level: 0, levelX: 144, levelY: 144, width: 512, height: 512)
    }

    @Test func soundTissueHasNoFlag() throws {
        let quality = TileQuality(try tissue(), micronsPerPixel: 0.5)
        #expect(quality.flag == nil, "\(quality)")
        #expect(quality.tissue > 0.5 && quality.pen == 0)
    }

    @Test func inkIsSeen() throws {
        for color in [(30, 110, 60), (20, 60, 50), (30, 90, 200), (25, 25, 28)] as [(UInt8, UInt8, UInt8)] {
            var image = try tissue()
            for y in 100..<300 { for x in 0..<512 { image[x, y] = color } }
            #expect(TileQuality(image, micronsPerPixel: 0.5).flag == "pen", "\(color)")
        }
    }

    @Test func blurIsSeen() throws {
        let image = try tissue()
        var blurred = image
        let channels = (0..<3).map { channel in
            Plane(
                width: 512, height: 512,
                values: (0..<(512 * 512)).map { Float(image.pixels[3 * $0 + channel]) }
            ).blurred(sigma: 8)
        }
        for i in 0..<(512 * 512) { for c in 0..<3 { blurred.pixels[3 * i + c] = UInt8(channels[c].values[i]) } }
        #expect(TileQuality(blurred, micronsPerPixel: 0.5).flag == "blur")
    }

    @Test func foldsAreSeen() throws {
        var image = try tissue()
        for y in 0..<512 { for x in 0..<260 { image[x, y] = (50, 12, 45) } }
        #expect(TileQuality(image, micronsPerPixel: 0.5).flag == "fold")
    }

    @Test func glassHasNoFlag() {
        #expect(TileQuality(RGBImage(width: 512, height: 512), micronsPerPixel: 0.5).flag == nil)
    }
}
