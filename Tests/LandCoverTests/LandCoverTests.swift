import BatchWork
import Failures
import Foundation
import GeoRaster
import GraticuleTesting
import LabelSuperResolution
import Phantoms
import Tables
import Testing

@testable import LandCover

/// Land cover: tables of classes, priors from pairs of rasters, training, maps and their scores.
struct LandCoverTests {
    /// Two phantoms of 256 px, made once.
    private static let phantoms: Result<URL, any Error> = Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "graticule-land-\(ProcessInfo.processInfo.processIdentifier)")
        try LandPhantom(folder: folder, images: 2, size: 256, seed: 5).write()
        return folder
    }

    private func phantom(_ kind: String, _ number: Int) throws -> URL {
        try LandCoverTests.phantoms.get().appendingPathComponent("\(kind)/land-\(number).tif")
    }

    private func write(
        _ url: URL, width: Int, height: Int, bands: Int = 1, placement: (GeoTransform, String)? = nil,
        noData: UInt8? = nil, value: (_ column: Int, _ row: Int, _ band: Int) -> UInt8
    ) throws {
        let writer = try GeoRasterWriter(
            url, width: width, height: height, bands: bands, placement: placement.map { ($0.0, $0.1) }, noData: noData,
            table: nil)
        for row in 0..<height {
            try writer.append((0..<bands).flatMap { band in (0..<width).map { value($0, row, band) } })
        }
        try writer.finish()
    }

    @Test func tablesNameClasses() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("t.csv")
            func read(_ text: String) throws -> LandClasses {
                try Data(text.utf8).write(to: file)
                return try LandClasses(contentsOf: file)
            }
            let table = try read("value,name,color,group\n7,roof,#ff0000,built\n3,road,00ff00,built\n9,roof,#0000ff,\n")
            #expect(table.names == ["roof", "road"] && table.members(of: "built") == [0, 1])
            #expect(table.index(of: 9) == 0 && table.index(of: 3) == 1 && table.index(of: 4) == nil)
            #expect(table.value(of: 0) == 7 && table.classes[0].color == [255, 0, 0])
            for (text, sentence) in [
                ("value,name,color\n1.5,a,#ffffff\n", "line 2: 1.5 is no code"),
                ("value,name,color\n1,a,#ffffff\n1,b,#ffffff\n", "line 3: the value 1 stands twice"),
                ("value,name,color\n1,a,red\n", "line 2: 'red' is no colour: write one as #33aa66"),
                ("value,name,color\n1,,#ffffff\n", "line 2: the name is missing"),
                ("value,name,color\n", "names no class"),
                ("value,name\n1,a\n", "has no column 'color'"),
            ] {
                let error = #expect(throws: (any Error).self) { try read(text) }
                #expect("\(error.map { "\($0)" } ?? "")".contains(sentence), "\(sentence)")
            }
            // A map has bytes, of which 0 is no data.
            for code in [0, 256] {
                try Data("value,name,color\n\(code),a,#ffffff\n1,b,#ffffff\n".utf8).write(to: file)
                #expect(throws: InputError.self) { try LandClasses(labelsNamed: file.path) }
            }
            #expect(LandClasses.nlcd.members(of: "developed").count == 4)
            #expect(try LandClasses.fourLabels.weights("field=2, water=0") == [0, 1, 2, 1])
            for text in ["", ",", "lawn=1", "field", "field=-1", "field=x", "water=0,forest=0,field=0,impervious=0"] {
                #expect(throws: InputError.self) { try LandClasses.fourLabels.weights(text) }
            }
        }
    }

    /// Every pixel by itself: its place, its coarse pixel, its label.
    @Test func priorsAreACount() throws {
        let (fine, coarse) = (try GeoRaster(phantom("fine", 1)), try GeoRaster(phantom("coarse", 1)))
        let (own, other) = (try fine.placement(), try coarse.placement())
        let conversion = try CoordinateConversion(from: own.projection, to: other.projection)
        let labels = try fine.values(band: 0, in: .init(column: 0, row: 0, width: 256, height: 256))
        let codes = try coarse.values(
            band: 0, in: .init(column: 0, row: 0, width: coarse.width, height: coarse.height))
        var cells: [Int: [Double]] = [:]
        for row in 0..<256 {
            for column in 0..<256 {
                let place = own.transform.place(column: Double(column) + 0.5, row: Double(row) + 0.5)
                var (x, y) = ([place.x], [place.y])
                conversion.convert(x: &x, y: &y)
                let pixel = other.transform.pixel(x: x[0], y: y[0])
                let key = Int(pixel.row) * coarse.width + Int(pixel.column)
                cells[key, default: [0, 0, 0, 0]][Int(labels[row * 256 + column]) - 1] += 1
            }
        }
        var counted = LandCoverPriors(coarse: .nlcd, labels: .fourLabels)
        try counted.add(CoarseCells(image: fine, coarse: coarse, classes: .nlcd))
        let priors = try counted.priors()
        for (index, code) in LandClasses.nlcd.codes.enumerated() {
            let shares = cells.filter { Float(code.value) == codes[$0.key] && $0.value.reduce(0, +) >= 450 }
                .values.map { counts in counts.map { $0 / counts.reduce(0, +) } }
            #expect(counted.cellsPerClass[index] == shares.count)
            guard !shares.isEmpty else { continue }
            for label in 0..<4 {
                let values = shares.map { $0[label] }
                let mean = values.reduce(0, +) / Double(values.count)
                let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
                #expect(abs(priors.means[index][label] - mean) < 1e-6)
                #expect(
                    abs(priors.deviations[index][label] - max(LabelPriors.leastDeviation, square.squareRoot())) < 1e-6)
            }
        }
        #expect(counted.cellsPerClass.count { $0 > 0 } >= 3, "the phantom has several classes")
    }

    @Test func descriptionsArePriorsToo() throws {
        for priors in [try LandCoverPriors.fromNLCDDescriptions(), try LandCoverPriors.table4()] {
            #expect(priors.classCount == LandClasses.nlcd.count)
            let row = priors.means[LandClasses.nlcd.codes.first { $0.value == 24 }?.index ?? 0]
            #expect(row.max() == row[3], "high intensity is impervious")
        }
        let low = try LandCoverPriors.fromNLCDDescriptions().deviations[3][3]
        #expect(abs(low - 0.29 / 12.0.squareRoot()) < 1e-12, "an interval's width/√12")
    }

    private func training(_ folder: URL, priors: LabelPriors) throws -> LandCoverTraining {
        let root = try LandCoverTests.phantoms.get()
        var training = LandCoverTraining(
            images: root.appendingPathComponent("images"), coarse: root.appendingPathComponent("coarse"),
            output: folder.appendingPathComponent("model"), priors: priors)
        training.only = ["land-1"]
        training.adjust = { settings in
            settings.training.architecture.widths = [8, 12]
            settings.training.batchSize = 4
            settings.sampling.side = 96
        }
        return training
    }

    @Test func aNetworkLearnsLandFromCoarseCells() throws {
        try TestFolders.withTemporary { folder in
            var counted = LandCoverPriors(coarse: .nlcd, labels: .fourLabels)
            try counted.add(
                CoarseCells(
                    image: GeoRaster(phantom("fine", 1)), coarse: GeoRaster(phantom("coarse", 1)), classes: .nlcd))
            let training = try training(folder, priors: counted.priors())
            var progress = 0
            let outcome = try training.run(steps: 150, resume: false) { event in
                if case .progress = event { progress += 1 }
            }
            #expect(progress == 150 && outcome.failures.isEmpty && outcome.model.settings.images == ["land-1"])
            let model = try LandCoverModel(training.output)
            var mapper = LandMapper(model: model)
            let maps = folder.appendingPathComponent("maps")
            try FileManager.default.createDirectory(at: maps, withIntermediateDirectories: true)
            let map = maps.appendingPathComponent("land-2.tif")
            #expect(try mapper.map(phantom("images", 2), to: map).pixels == 65_536)
            var evaluation = try MapEvaluation(labels: .fourLabels, within: "developed")
            try evaluation.add(
                map: GeoRaster(map), truth: GeoRaster(phantom("fine", 2)), coarse: GeoRaster(phantom("coarse", 2)))
            let commonest = evaluation.all.counts.map { $0.reduce(0, +) }.max() ?? 0
            let trivial = Double(commonest) / Double(evaluation.all.total)
            #expect(evaluation.all.accuracy > trivial + 0.1, "\(evaluation.all.accuracy) against \(trivial)")
            #expect(evaluation.all.total == 65_536 && (evaluation.within?.total ?? 0) > 0)

            // Tiles equal one pass, a map that was stopped goes on to the same bytes, and nothing is left of it.
            let whole = try Data(contentsOf: map)
            mapper.tileSide = 64
            let stop = StopRequest()
            mapper.stop = stop
            let again = maps.appendingPathComponent("again.tif")
            let first = try mapper.map(phantom("images", 2), to: again) { if $0 > 0.2 { stop.stop() } }
            #expect(first.wasStopped && !FileManager.default.fileExists(atPath: again.path))
            mapper.stop = StopRequest()
            var shares: [Double] = []
            #expect(try !mapper.map(phantom("images", 2), to: again) { shares.append($0) }.wasStopped)
            #expect((shares.first ?? 0) > 0.2, "rows that were there are not made again")
            #expect(try Data(contentsOf: again) == whole)
            let left = try FileManager.default.contentsOfDirectory(atPath: maps.path).sorted()
            #expect(left == ["again.tif", "again.tif.aux.xml", "land-2.tif", "land-2.tif.aux.xml"])

            // Weights change what is painted; probabilities are those that decide.
            let weighted = maps.appendingPathComponent("w.tif")
            mapper.weights = [0, 0, 0, 1]
            _ = try mapper.map(phantom("images", 2), to: weighted)
            let window = GeoRaster.Window(column: 10, row: 20, width: 100, height: 30)
            #expect(try GeoRaster(weighted).values(band: 0, in: window).allSatisfy { $0 == 4 })
            mapper.weights = nil
            mapper.writesProbabilities = true
            let probabilities = maps.appendingPathComponent("p.tif")
            _ = try mapper.map(phantom("images", 2), to: probabilities)
            let raster = try GeoRaster(probabilities)
            let bands = try (0..<4).map { try raster.values(band: $0, in: window) }
            let codes = try GeoRaster(map).values(band: 0, in: window)
            for pixel in codes.indices {
                let own = bands.map { $0[pixel] }
                #expect(own[Int(codes[pixel]) - 1] == own.max(), "of equal bytes any may be the largest")
            }
        }
    }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func mapsAreReadByRasterio() throws {
        try TestFolders.withTemporary { folder in
            let training = try training(folder, priors: LandCoverPriors.table4())
            _ = try training.run(steps: 5, resume: false) { _ in }
            let map = folder.appendingPathComponent("map.tif")
            _ = try LandMapper(model: LandCoverModel(training.output)).map(phantom("images", 1), to: map)
            let script = try #require(
                Bundle.module.url(forResource: "read_map", withExtension: "py", subdirectory: "Peers"))
            let outcome = try Subprocess.run(
                #require(Subprocess.peersPython),
                [script.path, map.path, phantom("images", 1).path, phantom("fine", 1).path])
            #expect(outcome.status == 0, "\(outcome.errors)")
        }
    }

    @Test func trainingGoesOnWhereItStopped() throws {
        try TestFolders.withTemporary { folder in
            let priors = try LandCoverPriors.table4()
            let whole = try training(folder.appendingPathComponent("a"), priors: priors)
            _ = try whole.run(steps: 12, resume: false) { _ in }
            let parts = try training(folder.appendingPathComponent("b"), priors: priors)
            var steps = 0
            #expect(throws: CancellationError.self) {
                try parts.run(steps: 12, resume: false, stop: { steps >= 5 }) { event in
                    if case .progress = event { steps += 1 }
                }
            }
            _ = try parts.run(steps: 12, resume: true) { _ in }
            #expect(
                try Data(contentsOf: ModelFolder(whole.output).weights)
                    == Data(contentsOf: ModelFolder(parts.output).weights))
        }
    }

    /// EM that never begins a round would be SR under another name.
    @Test func expectationMaximizationNeedsItsRounds() throws {
        try TestFolders.withTemporary { folder in
            var training = try training(folder, priors: LandCoverPriors.table4())
            let adjust = training.adjust
            training.adjust = { settings in
                try adjust(&settings)
                settings.training.objective = try Objective(named: "em", matching: StatisticsMatching())
            }
            let error = #expect(throws: InputError.self) { try training.run(steps: 150, resume: false) { _ in } }
            #expect(error?.message.contains("first round, at step 151") == true)
        }
    }

    @Test func scoresAreThoseOfTheirDefinition() throws {
        try TestFolders.withTemporary { folder in
            let (map, truth) = (folder.appendingPathComponent("m.tif"), folder.appendingPathComponent("t.tif"))
            // Truth: 2 2 2 3 3 0; found: 2 2 3 3 1 2. The last has no true label.
            let (wanted, found): ([UInt8], [UInt8]) = ([2, 2, 2, 3, 3, 0], [2, 2, 3, 3, 1, 2])
            try write(truth, width: 6, height: 1, noData: 0) { column, _, _ in wanted[column] }
            try write(map, width: 6, height: 1, noData: 0) { column, _, _ in found[column] }
            var evaluation = try MapEvaluation(labels: .fourLabels)
            try evaluation.add(map: GeoRaster(map), truth: GeoRaster(truth))
            let all = evaluation.all
            #expect(all.total == 5 && all.accuracy == 0.6 && all.counts[1] == [0, 2, 1, 0, 0])
            #expect(all.intersectionOverUnion(of: 1) == 2.0 / 3 && all.intersectionOverUnion(of: 2) == 1.0 / 3)
            #expect(all.intersectionOverUnion(of: 0) == 0 && all.intersectionOverUnion(of: 3) == nil)
            #expect(abs(all.meanIntersectionOverUnion - 0.5) < 1e-12, "over labels that are truly there")
            #expect(throws: InputError.self) { try MapEvaluation(labels: .fourLabels, within: "moon") }
            let grid = GeoTransform(left: 500_000, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            let moved = GeoTransform(left: 500_020, top: 4_200_000, pixelWidth: 1, pixelHeight: 1)
            for (transform, crs, isSame) in [
                (grid, "EPSG:26917", true), (moved, "EPSG:26917", false), (grid, "EPSG:32633", false),
            ] {
                try write(truth, width: 6, height: 1, placement: (grid, "EPSG:26917")) { _, _, _ in 2 }
                try write(map, width: 6, height: 1, placement: (transform, crs)) { _, _, _ in 2 }
                #expect(try GeoRaster(map).hasPixels(of: GeoRaster(truth)) == isSame)
            }
            try write(map, width: 6, height: 1, bands: 4) { _, _, _ in 2 }
            #expect(throws: InputError.self) { try evaluation.add(map: GeoRaster(map), truth: GeoRaster(truth)) }
            try write(map, width: 5, height: 1) { _, _, _ in 2 }
            #expect(throws: InputError.self) { try evaluation.add(map: GeoRaster(map), truth: GeoRaster(truth)) }
        }
    }

    /// Pixels without data give no block and no label; an image without a place is mapped without one.
    @Test func whatIsNoDataStaysSo() throws {
        try TestFolders.withTemporary { folder in
            let image = folder.appendingPathComponent("i.tif")
            try write(image, width: 80, height: 70, bands: 4, noData: 0) { column, row, band in
                column < 20 && band == 2 ? 0 : UInt8(1 + (column * 3 + row * 5 + band * 7) % 200)
            }
            let scaling = BandScaling(means: [100, 100, 100, 100], deviations: [50, 50, 50, 50])
            let raster = try GeoRaster(image)
            let (values, isData) = try scaling.input(of: raster, x: -5, y: -5, width: 40, height: 20)
            #expect(isData[5 * 40 + 5 + 20] && !isData[5 * 40 + 5 + 19] && !isData[0])
            #expect(values[5 * 40 + 5] == 0, "a pixel is data in all bands or in none")
            #expect(values[5 * 40 + 5 + 20] == Float(61 - 100) / 50)

            let root = try LandCoverTests.phantoms.get()
            let training = try training(folder, priors: LandCoverPriors.table4())
            _ = try training.run(steps: 2, resume: false) { _ in }
            let map = folder.appendingPathComponent("m.tif")
            _ = try LandMapper(model: LandCoverModel(training.output)).map(image, to: map)
            let made = try GeoRaster(map)
            #expect(made.transform == nil && made.width == 80 && made.height == 70)
            let row = try made.values(band: 0, in: .init(column: 0, row: 33, width: 80, height: 1))
            #expect(row[..<20].allSatisfy { $0 == 0 } && row[20...].allSatisfy { (1...4).contains($0) })

            // A mask in the file counts like no data.
            let shown = folder.appendingPathComponent("shown.tif")
            try write(shown, width: 80, height: 70) { _, row, _ in row < 30 ? 0 : 255 }
            let plain = folder.appendingPathComponent("plain.tif")
            try write(plain, width: 80, height: 70, bands: 4) { column, row, band in
                UInt8(1 + (column * 3 + row * 5 + band * 7) % 200)
            }
            func source(_ file: String, _ band: Int) -> String {
                "<SimpleSource><SourceFilename relativeToVRT=\"1\">\(file)</SourceFilename><SourceBand>\(band)</SourceBand></SimpleSource>"
            }
            let bands = (1...4).map {
                "<VRTRasterBand dataType=\"Byte\" band=\"\($0)\">\(source("plain.tif", $0))</VRTRasterBand>"
            }.joined()
            let masked = folder.appendingPathComponent("masked.vrt")
            try Data(
                "<VRTDataset rasterXSize=\"80\" rasterYSize=\"70\">\(bands)<MaskBand><VRTRasterBand dataType=\"Byte\">\(source("shown.tif", 1))</VRTRasterBand></MaskBand></VRTDataset>"
                    .utf8
            ).write(to: masked)
            _ = try LandMapper(model: LandCoverModel(training.output)).map(masked, to: map)
            let column = try GeoRaster(map).values(band: 0, in: .init(column: 40, row: 0, width: 1, height: 70))
            #expect(column[..<30].allSatisfy { $0 == 0 } && column[30...].allSatisfy { (1...4).contains($0) })

            // What could not be read before a stop is told at the end too.
            try write(plain, width: 80, height: 300, bands: 4) { column, row, _ in UInt8(1 + (column + row) % 200) }
            func placed(_ file: String, _ band: Int, _ top: Int, _ height: Int) -> String {
                "<SimpleSource><SourceFilename relativeToVRT=\"1\">\(file)</SourceFilename><SourceBand>\(band)</SourceBand><SrcRect xOff=\"0\" yOff=\"\(top)\" xSize=\"80\" ySize=\"\(height)\"/><DstRect xOff=\"0\" yOff=\"\(top)\" xSize=\"80\" ySize=\"\(height)\"/></SimpleSource>"
            }
            let holed = folder.appendingPathComponent("holed.vrt")
            let parts = (1...4).map {
                "<VRTRasterBand dataType=\"Byte\" band=\"\($0)\">\(placed("gone.tif", $0, 0, 10))\(placed("plain.tif", $0, 10, 290))</VRTRasterBand>"
            }.joined()
            try Data("<VRTDataset rasterXSize=\"80\" rasterYSize=\"300\">\(parts)</VRTDataset>".utf8).write(to: holed)
            var slow = try LandMapper(model: LandCoverModel(training.output))
            slow.tileSide = 64
            let stop = StopRequest()
            slow.stop = stop
            #expect(try slow.map(holed, to: map) { if $0 > 0 { stop.stop() } }.wasStopped)
            slow.stop = StopRequest()
            let report = try slow.map(holed, to: map)
            #expect(report.unreadableTiles == 2 && !report.wasStopped)

            // One image that cannot be used costs itself; none left is an error.
            var other = training
            other.only = []
            let images = folder.appendingPathComponent("images")
            try FileManager.default.createDirectory(at: images, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                at: root.appendingPathComponent("images/land-1.tif"), to: images.appendingPathComponent("land-1.tif"))
            try Data("no raster".utf8).write(to: images.appendingPathComponent("land-2.tif"))
            other = LandCoverTraining(
                images: images, coarse: root.appendingPathComponent("coarse"),
                output: folder.appendingPathComponent("other"), priors: training.priors)
            other.adjust = training.adjust
            let outcome = try other.run(steps: 1, resume: false) { _ in }
            #expect(outcome.failures.map(\.name) == ["land-2"] && outcome.model.settings.images == ["land-1"])
            // A file that is cut off opens like any other; it costs itself too.
            let half = try Data(contentsOf: root.appendingPathComponent("images/land-2.tif"))
            try half.prefix(half.count / 2).write(to: images.appendingPathComponent("land-2.tif"))
            let second = try other.run(steps: 1, resume: false) { _ in }
            #expect(second.failures.map(\.name) == ["land-2"])
            let cut = images.appendingPathComponent("land-2.tif")
            let empty = folder.appendingPathComponent("empty.tif")
            let mapper = try LandMapper(model: LandCoverModel(training.output))
            for _ in 0..<2 {
                // Not only once: what a failed run left must not pass for a map.
                if let report = try? mapper.map(cut, to: empty) { #expect(report.unreadableTiles > 0) }
            }
            // Priors name their classes.
            var wrong = training.priors
            wrong.classes = LandClasses.nlcd.names.reversed()
            var misnamed = training
            misnamed.priors = wrong
            #expect(throws: InputError.self) { try misnamed.run(steps: 1, resume: false) { _ in } }
            // A coarse raster of another place.
            let far = folder.appendingPathComponent("far.tif")
            try write(
                far, width: 9, height: 9,
                placement: (
                    GeoTransform(left: 900_000, top: 1_500_000, pixelWidth: 30, pixelHeight: 30), "EPSG:5070"
                )
            ) { _, _, _ in 41 }
            let lost = LandCoverTraining(
                images: root.appendingPathComponent("images"), coarse: far,
                output: folder.appendingPathComponent("lost"), priors: training.priors)
            let error = #expect(throws: InputError.self) { try lost.run(steps: 1, resume: false) { _ in } }
            #expect(error?.message.contains("do not overlap") == true)
        }
    }

    /// The paper's tiles: one raster's pixels are the other's.
    @Test(.enabled(if: TestFolders.shared != nil)) func realTilesAreCounted() throws {
        let tiles = try #require(TestFolders.shared).appendingPathComponent("landcover")
        var counted = LandCoverPriors(coarse: .nlcd, labels: .fourLabels)
        let coarse = try RasterFolder(tiles.appendingPathComponent("nlcd"))
        for file in try RasterFolder(tiles.appendingPathComponent("landcover")).files {
            try counted.add(
                CoarseCells(
                    image: GeoRaster(file), coarse: GeoRaster(coarse.partner(of: RasterFolder.stem(file))),
                    classes: .nlcd))
        }
        let priors = try counted.priors(fallback: LandCoverPriors.table4())
        let forest = LandClasses.nlcd.codes.first { $0.value == 41 }?.index ?? 0
        #expect(counted.cellsPerClass[forest] > 500 && priors.means[forest][1] > 0.85)
    }
}
