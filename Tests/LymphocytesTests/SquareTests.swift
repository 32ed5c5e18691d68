import BatchWork
import CoarseTraining
import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import ResultStore
import Testing
import WholeSlide

@testable import Lymphocytes

/// Counted squares: tables, what a count leads to expect, grids, the choice, and training from them.
struct SquareTests {
    // MARK: What a count leads to expect

    @Test func aCountHasItsShareAndSpread() throws {
        let counting = CellCounting(cellArea: 40, areaSpread: 0.3, meanAreaError: 0.1, readerError: 0.2)
        let share = counting.share(count: 10, readers: 1, sideMicrons: 50)
        #expect(abs(share.mean - 10 * 40 / 2500.0) < 1e-12)
        let diameter = 2 * (40 / Double.pi).squareRoot()
        let cells = 0.04 * 100 + 0.01 * 100 + 0.09 * 10 + 10.5 * 4 * diameter / 50 / 12
        #expect(abs(share.deviation - cells.squareRoot() * 40 / 2500) < 1e-12)
        // Two readers halve the variance of reading alone.
        let twice = counting.share(count: 10, readers: 2, sideMicrons: 50)
        #expect(abs(pow(share.deviation, 2) - pow(twice.deviation, 2) - 0.02 * 100 * pow(40 / 2500.0, 2)) < 1e-12)
        #expect(counting.share(count: 0, readers: 1, sideMicrons: 50).deviation > 0, "neighbours reach in")
        #expect(counting.share(count: 1000, readers: 1, sideMicrons: 50).mean == 1)
    }

    @Test func readersErrorComesFromSquaresCountedTwice() {
        func squares(_ count: Int) -> [SquareReadings] {
            SquareReadings.grouped(
                (0..<count).flatMap { index in
                    [8.0, 12].enumerated().map { reader, cells in
                        CountedSquare(
                            slide: "s", level0X: Double(100 * index), level0Y: 0, lymphocytes: cells,
                            reader: "reader \(reader)")
                    }
                })
        }
        var counting = CellCounting()
        counting.learnReaderError(from: squares(9))
        #expect(counting.readerError == 0.15, "too few to tell")
        counting.learnReaderError(from: squares(10))
        #expect(abs(counting.readerError - 8.0.squareRoot() / 10) < 1e-9)
    }

    @Test func readingsOfOnePlaceAreTogether() {
        func square(_ x: Double, _ count: Double, _ reader: String) -> CountedSquare {
            CountedSquare(slide: "s", level0X: x, level0Y: 7, lymphocytes: count, reader: reader)
        }
        let grouped = SquareReadings.grouped([
            square(100, 3, "b"), square(300, 1, ""), square(100.2, 5, "a"), square(300, 2, ""), square(100, 4, "b"),
        ])
        #expect(grouped.map(\.level0X) == [100, 300])
        #expect(grouped[0].counts.map(\.reader) == ["a", "b"] && grouped[0].mean == 4.5, "the last of a reader counts")
        #expect(grouped[1].counts.count == 2, "nobody's counts are different readers'")
    }

    @Test func strataAreThoseThatOccur() throws {
        let counts: [Double] = [0, 0, 0, 1, 3, 2, 9, 20]
        let squares = SquareReadings.grouped(
            counts.enumerated().map {
                CountedSquare(slide: "s", level0X: Double(100 * $0.offset), level0Y: 0, lymphocytes: $0.element)
            })
        let strata = try CountStrata(squares, counting: CellCounting())
        #expect(strata.names == ["0 counted", "1 counted", "2–3 counted", "8–15 counted", "16–31 counted"])
        #expect(counts.map(strata.index) == [0, 0, 0, 1, 2, 2, 3, 4])
        #expect(strata.index(of: 2.5) == 2 && strata.index(of: 0.4) == 0 && strata.index(of: 0.7) == 1)
        let share = CellCounting.standardCellArea / 2500
        #expect(abs(strata.priors.means[2][1] - 2.5 * share) < 1e-12)
    }

    // MARK: Tables

    @Test func tablesAreReadAndWritten() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("squares.csv")
            let squares = [
                CountedSquare(slide: "a, b", level0X: 100, level0Y: 200.5, lymphocytes: 4, reader: "Dr. \"X\""),
                CountedSquare(slide: "é", level0X: 0, level0Y: 0, sideMicrons: 100, lymphocytes: 0),
            ]
            try Data(SquareTable.text(squares).utf8).write(to: file)
            #expect(try SquareTable.read(file) == squares)
            // Another order of columns, and a row that is not counted yet.
            try Data("y,x,lymphocytes,slide\n2,1,3,s\n4,1,,s\n".utf8).write(to: file)
            var open = 0
            #expect(
                try SquareTable.read(file) { open = $0 }
                    == [CountedSquare(slide: "s", level0X: 1, level0Y: 2, lymphocytes: 3)])
            #expect(open == 1)
        }
    }

    @Test(arguments: [
        ("slide,x,y\ns,1,2\n", "has no column 'lymphocytes' (it has: slide, x, y)"),
        ("slide,x,y,lymphocytes\n", "has no counted square"),
        (
            "slide,x,y,lymphocytes\ns,1,2,\n",
            "has no counted square: fill in the column 'lymphocytes', 0 where there are none"
        ),
        ("slide,x,y,lymphocytes\ns,1,2,-1\n", "line 2: -1.0 is no count of lymphocytes in 50.0 × 50.0 µm"),
        ("slide,x,y,lymphocytes\ns,1,2,9999\n", "line 2: 9999.0 is no count of lymphocytes in 50.0 × 50.0 µm"),
        ("slide,x,y,lymphocytes\n,1,2,3\n", "line 2: the slide's name is missing"),
        ("slide,x,y,lymphocytes\ns,1e300,2,3\n", "line 2: (1e+300, 2.0) is no place on a slide"),
        ("slide,x,y,lymphocytes,side_um\ns,1,2,3,5\n", "line 2: side_um 5.0 is not possible: between 20 and 200 µm"),
    ]) func malformedTablesGetASentence(text: String, message: String) throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("squares.csv")
            try Data(text.utf8).write(to: file)
            do {
                _ = try SquareTable.read(file)
                Issue.record("it was read")
            } catch {
                #expect("\(error)".hasSuffix(message), "\(error)")
            }
        }
    }

    @Test func countsOfTheResultsFileAreThoseThatAreDone() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("r.sqlite")
            let store = try ResultStore(file)
            let square = SquareRecord(slide: "s", level0X: 0, level0Y: 0, level0Side: 100, sideMicrons: 50)
            try store.addSquares([square])
            func add(_ reader: String, _ status: SquareReadingRecord.Status) throws {
                try store.storeReading(
                    SquareReadingRecord(square: square, reader: reader, status: status, points: [[1, 1], [2, 2]]))
            }
            try add("a", .open)
            try add("b", .skipped)
            #expect(throws: InputError.self) { try SquareTable.read(file) }
            try add("c", .counted)
            #expect(
                try SquareTable.read(file)
                    == [CountedSquare(slide: "s", level0X: 0, level0Y: 0, lymphocytes: 2, reader: "c")])
        }
    }

    // MARK: The choice

    private func phantoms() -> [SlideFile] {
        ["phantom-1", "phantom-2"].map { SlideFile(PhantomFixture.folder.appendingPathComponent("\($0).svs")) }
    }

    @Test func squaresLieOnTissueAndAreTheSameForASeed() throws {
        let (candidates, failures) = SquareCandidates(seed: 4).collect(phantoms())
        #expect(failures.isEmpty && candidates.count > 40)
        let chosen = SquareChoice.choose(30, from: candidates, seed: 4)
        #expect(Set(chosen.map { "\($0.slide) \($0.level0X) \($0.level0Y)" }).count == 30)
        #expect(chosen == SquareChoice.choose(30, from: candidates, seed: 4))
        #expect(chosen != SquareChoice.choose(30, from: candidates, seed: 5))
        #expect(Set(chosen.map(\.slide)).count == 2, "spread over slides")
        let more = SquareChoice.choose(10_000, from: candidates, taken: chosen, round: 2, seed: 4)
        #expect(more.count == candidates.count - 30 && more.allSatisfy { $0.round == 2 && !chosen.contains($0) })
    }

    /// Of many empty squares and a few dense ones, chance takes what is common, and the choice takes both.
    @Test func rareDensePlacesAreAmongTheChosen() throws {
        let (candidates, _) = SquareCandidates(seed: 4).collect(phantoms())
        let dense = candidates.filter { $0.features.roundNuclei >= 8 }
        let sparse = candidates.filter { $0.features.roundNuclei < 1 }
        try #require(dense.count >= 4 && !sparse.isEmpty)
        let rare = (0..<40).flatMap { _ in sparse } + dense.prefix(4)
        let chosen = SquareChoice.choose(10, from: rare, seed: 1)
        let isDense = Set(dense.prefix(4).map { "\($0.square.slide) \($0.square.level0X) \($0.square.level0Y)" })
        #expect(chosen.count { isDense.contains("\($0.slide) \($0.level0X) \($0.level0Y)") } == 4)
    }

    @Test func whatCannotBeReadCostsItselfOnly() throws {
        try TestFolders.withTemporary { folder in
            let broken = folder.appendingPathComponent("broken.svs")
            try Data("no slide".utf8).write(to: broken)
            let (candidates, failures) = SquareCandidates().collect([SlideFile(broken)] + phantoms())
            #expect(failures.map(\.name) == ["broken"] && !candidates.isEmpty)
        }
    }

    // MARK: Training

    private func counted() throws -> [CountedSquare] {
        let (candidates, _) = SquareCandidates(seed: 4).collect(phantoms())
        return SquareChoice.choose(30, from: candidates, seed: 4).enumerated().map { index, square in
            CountedSquare(
                slide: square.slide, level0X: square.level0X, level0Y: square.level0Y, lymphocytes: Double(index % 7))
        }
    }

    @Test func batchesHoldTheSquaresExpectations() throws {
        let counting = CellCounting()
        let readings = SquareReadings.grouped(try counted())
        let strata = try CountStrata(readings, counting: counting)
        let slides = try phantoms().map { file in
            var slide = try LabelledSlide(
                file, heatmaps: nil, micronsPerPixel: 0.5, givenScale: nil, coarseClasses: ProbabilityClasses())
            try slide.add(
                readings.filter { $0.slide == file.name }, counting: counting, stratum: { strata.index(of: $0.mean) }
            ) { _ in Issue.record("every square lies on its slide") }
            return slide
        }
        var settings = TrainingPreset.fast.lymphocytes(seed: 1).forSquares()
        settings.sampling.unlabelledShare = 0.5
        let set = try TrainingSet(
            slides: slides, encoding: .rgbStains, settings: settings, priors: strata.priors)
        #expect(set.layout.blocksPerSide == 1 && set.summary.map(\.regions).reduce(0, +) > 20)
        let batch = try set.batch(step: 1, count: 40, seed: 1)
        let wanted = Set(
            try readings.map {
                BlockLabel.expectation(try counting.expectation(count: $0.mean, readers: 1, sideMicrons: 50))
            })
        let unknown = batch.blocks.count { $0 == .unknown }
        #expect(batch.blocks.allSatisfy { $0 == .unknown || wanted.contains($0) })
        #expect((8...32).contains(unknown), "half show tissue without a label: \(unknown)")
        #expect(try set.batch(step: 1, count: 40, seed: 1).input == batch.input)
        // Calibration and validation see the squares' own expectations too.
        let calibration = set.calibrationBatches.flatMap(\.blocks)
        #expect(!calibration.isEmpty && calibration.allSatisfy(wanted.contains))
    }

    @Test func squaresBesideTheSlideAndOfOtherSlidesAreNamed() throws {
        try TestFolders.withTemporary { folder in
            var training = LymphocyteTraining(
                slides: PhantomFixture.folder, heatmaps: nil, output: folder.appendingPathComponent("model"),
                settings: tiny())
            training.squares =
                try counted() + [
                    CountedSquare(slide: "phantom-1", level0X: 790, level0Y: 0, lymphocytes: 1),
                    CountedSquare(slide: "nobody", level0X: 0, level0Y: 0, lymphocytes: 1),
                ]
            let outcome = try training.run(steps: 2, resume: false) { _ in }
            #expect(
                outcome.failures.map(\.message) == [
                    "1 square counted in 'nobody': there is no slide of that name in \(PhantomFixture.folder.path)",
                    "the square at 790.0, 0.0 does not lie on slide phantom-1",
                ])
            #expect(outcome.model.coarseClasses.first == "0 counted")
            #expect(outcome.model.priors.origin.hasSuffix("counted squares"))
        }
    }

    private func tiny() -> LymphocyteSettings {
        var settings = TrainingPreset.fast.lymphocytes(seed: 1)
        settings.training.architecture.widths = [4, 6]
        settings.training.members = 1
        settings.training.student = nil
        return settings
    }

    /// Heatmap and squares are one training set: each square is drawn with the class whose expectation is nearest.
    @Test func squaresStandBesideHeatmaps() throws {
        try TestFolders.withTemporary { folder in
            var training = LymphocyteTraining(
                slides: PhantomFixture.folder, heatmaps: PhantomFixture.folder.appendingPathComponent("heatmaps"),
                output: folder.appendingPathComponent("model"), settings: tiny())
            var without = 0
            _ = try training.run(steps: 1, resume: false) {
                if case .ready(let slides, _, _) = $0 { without = slides.reduce(0) { $0 + $1.regions } }
            }
            training.squares = try counted()
            var with = 0
            let outcome = try training.run(steps: 2, resume: false) {
                if case .ready(let slides, _, _) = $0 { with = slides.reduce(0) { $0 + $1.regions } }
            }
            #expect(with > without + 20 && outcome.model.coarseClasses == ProbabilityClasses().names)
        }
    }

    /// Discs around what readers marked are fine labels; half of the images without a block show them.
    @Test func marksAreFineLabels() throws {
        let readings = SquareReadings.grouped(try counted())
        let strata = try CountStrata(readings, counting: CellCounting())
        var slide = try LabelledSlide(
            phantoms()[0], heatmaps: nil, micronsPerPixel: 0.5, givenScale: nil, coarseClasses: ProbabilityClasses())
        try slide.add(
            readings.filter { $0.slide == "phantom-1" }, counting: CellCounting(),
            stratum: { strata.index(of: $0.mean) }, refuse: { _ in })
        slide.add([
            FineMask.Mark(x: 400, y: 400, isLymphocyte: true), FineMask.Mark(x: 500, y: 430, isLymphocyte: false),
        ])
        let mask = try #require(slide.mask)
        #expect(mask.isLymphocyte(level0X: 406.5, level0Y: 400) == true, "7 µm across at 0.5 µm")
        #expect(mask.isLymphocyte(level0X: 407.5, level0Y: 400) == nil)
        #expect(mask.isLymphocyte(level0X: 500, level0Y: 436) == false)
        var settings = TrainingPreset.fast.lymphocytes(seed: 1).forSquares()
        settings.sampling.unlabelledShare = 1
        let set = try TrainingSet(slides: [slide], encoding: .rgbStains, settings: settings, priors: strata.priors)
        let batch = try set.batch(step: 1, count: 40, seed: 1)
        let counts = Dictionary(batch.fineLabels.map { ($0, 1) }, uniquingKeysWith: +)
        let pixels = set.layout.imageSide * set.layout.imageSide
        let disc = Double.pi * 49
        // About half of 40 images lie around a mark, and hold it whole.
        #expect(Double(counts[1] ?? 0) > 3 * disc && Double(counts[0] ?? 0) > 3 * disc)
        #expect((counts[-1] ?? 0) > 30 * pixels)
    }

    /// Strata of counts say nothing of a heatmap: regions are compared with the default curve then.
    @Test func aModelFromCountsReadsHeatmapsByTheDefaultCurve() throws {
        let readings = SquareReadings.grouped(try counted())
        let strata = try CountStrata(readings, counting: CellCounting())
        let curve = try LabelPriors.defaultCurve(label: "lymphocyte", classCount: 10)
        func priors(_ priors: LabelPriors, _ names: [String]?) throws -> LabelPriors {
            try LymphocyteModelDescription.heatmapPriors(priors, coarseClasses: names)
        }
        #expect(try priors(strata.priors, strata.names) == curve)
        #expect(try priors(curve.scaled(by: 0.5), ProbabilityClasses().names) == curve.scaled(by: 0.5))
        #expect(try priors(curve.scaled(by: 0.5), nil) == curve.scaled(by: 0.5))
    }

    @Test func tooLittleToLearnFromIsSaid() throws {
        var training = LymphocyteTraining(
            slides: PhantomFixture.folder, heatmaps: nil, output: URL(fileURLWithPath: "/nowhere"), settings: tiny())
        training.squares = Array(try counted().prefix(9))
        var error = #expect(throws: InputError.self) { try training.run(steps: 1, resume: false) { _ in } }
        #expect(error?.message.hasPrefix("9 squares are counted; 10 are the least to learn from") == true)
        training.squares = try counted().map { square in
            var empty = square
            empty.lymphocytes = 0
            return empty
        }
        error = #expect(throws: InputError.self) { try training.run(steps: 1, resume: false) { _ in } }
        #expect(error?.message == "no counted square holds a lymphocyte: there is nothing to learn from yet")
    }

    @Test func nothingToLearnFromIsSaid() throws {
        let training = LymphocyteTraining(
            slides: PhantomFixture.folder, heatmaps: nil, output: URL(fileURLWithPath: "/nowhere"), settings: tiny())
        let error = #expect(throws: InputError.self) { try training.run(steps: 1, resume: false) { _ in } }
        #expect(error?.message == "there is nothing to learn from: give heatmaps, counted squares, or both")
    }

    @Test func latticesShareAGridAndOthersStandAlone() throws {
        let slide = try LabelledSlide(
            phantoms()[0], heatmaps: nil, micronsPerPixel: 0.5, givenScale: nil, coarseClasses: ProbabilityClasses())
        func square(_ x: Double, _ y: Double) -> SquareReadings {
            SquareReadings.grouped([CountedSquare(slide: "phantom-1", level0X: x, level0Y: y, lymphocytes: 2)])[0]
        }
        var refused = 0
        let grids = try BlockGrid.counted(
            [square(30, 40), square(230, 40), square(30, 340), square(77, 99), square(701, 0), square(-1, 5)],
            frame: slide.reader.frame, counting: CellCounting(), stratum: { _ in 3 }, refuse: { _ in refused += 1 })
        #expect(grids.map { $0.known.count } == [3, 1] && refused == 2)
        #expect(grids[0].columns == 3 && grids[0].rows == 4)
        #expect(grids[0].corner(BlockGrid.Position(column: 2, row: 0)) == (230, 40))
        #expect(grids[1].corner(grids[1].known[0].position) == (77, 99) && grids[1].known[0].coarseClass == 3)
    }
}
