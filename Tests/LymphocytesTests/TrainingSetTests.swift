import BatchWork
import CoarseTraining
import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import Testing
import WholeSlide

@testable import Lymphocytes

struct TrainingSetTests {
    private func slide(_ name: String = "phantom-1") throws -> LabelledSlide {
        try LabelledSlide(
            SlideFile(PhantomFixture.folder.appendingPathComponent("\(name).svs")),
            heatmaps: PhantomFixture.folder.appendingPathComponent("heatmaps"), micronsPerPixel: 0.5, givenScale: nil,
            coarseClasses: ProbabilityClasses())
    }

    private func set(
        slides: [LabelledSlide]? = nil, change: (inout LymphocyteSettings) -> Void = { _ in }
    ) throws -> TrainingSet {
        var settings = TrainingPreset.fast.lymphocytes(seed: 2)
        settings.sampling.stainJitter = 0
        change(&settings)
        return try TrainingSet(
            slides: try slides ?? [slide()], encoding: .rgbStains, settings: settings,
            priors: .defaultCurve(label: "lymphocyte", classCount: 10))
    }

    /// Held-out regions first, then others, so that no class that occurs is without; never more than are asked for.
    @Test(arguments: [1, 3, 64]) func calibrationTakesHeldOutRegionsFirst(most: Int) throws {
        let set = try set()
        #expect(set.split.validation.contains { $0.count > 1 } && set.split.validation.contains { $0.isEmpty })
        for (known, places) in set.split.calibrationPlaces(most: most).enumerated() {
            #expect(places.count == min(most, set.countPerClass[known]) && Set(places).count == places.count)
            let held = Set(set.split.validation[known])
            #expect(places.prefix(held.count).allSatisfy(held.contains), "class \(known)")
        }
        #expect(set.split.calibrationPlaces(most: most) == set.split.calibrationPlaces(most: most))
    }

    /// Batches hold what the places say, in their order.
    @Test func calibrationReadsItsRegions() throws {
        let set = try set()
        let wanted = set.split.calibrationPlaces(most: 64).enumerated().flatMap { known, places in
            places.map { _ in known }
        }
        #expect(set.calibrationBatches.flatMap(\.blocks).compactMap(\.coarseClass) == wanted)
    }

    /// The threshold of a model and that before its temperature say the same of each pixel.
    @Test func aTemperatureDoesNotChangeWhatIsFound() throws {
        let set = try set()
        let priors = try LabelPriors.defaultCurve(label: "lymphocyte", classCount: 10)
        let network = DarknessNetwork(failAfter: nil)
        let plain = try NetworkCalibration(network, on: set, priors: priors, temperature: 1)
        let scaled = try NetworkCalibration(network, on: set, priors: priors, temperature: 0.4)
        let threshold = try #require(scaled.threshold)
        #expect(plain.threshold == plain.untemperedThreshold && threshold != plain.threshold)
        #expect(abs(scaled.untemperedThreshold - plain.untemperedThreshold) < 1e-9)
        let batch = try #require(try set.validationBatches().first)
        let side = batch.imageSide
        let images = ImageBatch(
            count: batch.count, channels: batch.channels, height: side, width: side, values: batch.input)
        let tempered = try TemperedNetwork(network: network, temperature: 0.4).logOdds(images)
        let limit = Float(log(threshold / (1 - threshold)))
        let other = Float(log(plain.untemperedThreshold / (1 - plain.untemperedThreshold)))
        let raw = try network.logOdds(images)
        // But for what lies within rounding of the threshold.
        #expect(zip(tempered, raw).allSatisfy { ($0 >= limit) == ($1 >= other) || abs($1 - other) < 1e-4 })
    }

    /// Without turns the images are those of the slide, as they lie.
    @Test func imagesAreTurnedUnlessToldOtherwise() throws {
        let (turned, upright) = (try set(), try set { $0.sampling.isTurned = false })
        let pairs = try (1...8).map { step in
            (
                try turned.batch(step: step, count: 1, seed: 5).input,
                try upright.batch(step: step, count: 1, seed: 5).input
            )
        }
        #expect(pairs.allSatisfy { $0.sorted() == $1.sorted() } && pairs.contains { $0 != $1 })
    }

    /// Blots are darker than anything that the regions hold.
    @Test func extremesAreDarkerThanTheSlides() throws {
        let set = try set()
        func darkest(_ batches: [BlockBatch]) -> Float {
            batches.flatMap { batch -> [Float] in
                let pixels = batch.imageSide * batch.imageSide
                return (0..<batch.count).flatMap { image -> [Float] in
                    let start = (image * batch.channels + set.encoding.hematoxylinChannel) * pixels
                    return Array(batch.input[start..<(start + pixels)])
                }
            }.max() ?? 0
        }
        let (extremes, usual) = (set.extremeBatches(), try set.validationBatches())
        #expect(extremes.first?.shapes == usual.first?.shapes && extremes.allSatisfy { $0.count > 0 })
        #expect(darkest(extremes) > 1.5 * darkest(usual))
    }

    /// A class is never mostly lymphocytes: hard naive learns a constant, and the darkness prior must not rank for it.
    @Test func hardNaiveRanksNothingAfterTrainingFromSlides() throws {
        try TestFolders.withTemporary { folder in
            var settings = TrainingPreset.fast.lymphocytes(seed: 1)
            #expect(settings.training.architecture.prior != nil)
            settings.training.objective = Objective(.hardNaive)
            settings.training.student = nil
            settings.training.members = 1
            let training = LymphocyteTraining(
                slides: PhantomFixture.folder, heatmaps: PhantomFixture.folder.appendingPathComponent("heatmaps"),
                output: folder, settings: settings)
            _ = try training.run(steps: 2, resume: false) { _ in }
            let model = try SegmentationModel(folder)
            let set = try set()
            let batch = try #require(try set.validationBatches().first)
            let side = batch.imageSide
            let found = try model.network.logOdds(
                ImageBatch(
                    count: batch.count, channels: batch.channels, height: side, width: side, values: batch.input))
            #expect(Set(found).count == 1)
        }
    }

    /// The same regions' classes, but not the same pixels.
    @Test func regionsCanBeLaidOffTheirGrid() throws {
        let (aligned, shifted) = (try set(), try set { $0.sampling.gridOffset = 0.5 })
        for step in 1...4 {
            let before = try aligned.batch(step: step, count: 1, seed: 5)
            let after = try shifted.batch(step: step, count: 1, seed: 5)
            #expect(Set(before.blocks) == Set(after.blocks) && before.blocks.count == after.blocks.count)
            #expect(before.input.sorted() != after.input.sorted())
        }
    }

    /// Teachers see the image as it is; a student's is spoilt, of the same place and turned the same way, and so is the evidence.
    @Test func aStudentsImagesAreSpoiltAndItsTeachersAreNot() throws {
        let plain = try set()
        var settings = TrainingPreset.fast.lymphocytes(seed: 2)
        #expect(settings.sampling.studentNoise == nil && settings.training.student?.evidenceWeight == 20)
        settings.sampling.studentNoise = .otherScanner
        let spoilt = plain.forStudent(settings)
        for step in 1...8 {
            // Stains are not jittered in the plain set: teachers see what it shows, pixel by pixel, but for another turn.
            let before = try plain.batch(step: step, count: 1, seed: 5)
            let after = try spoilt.batch(step: step, count: 1, seed: 5)
            #expect(before.teacherInput.isEmpty && before.evidence.isEmpty)
            #expect(Set(after.blocks) == Set(before.blocks))
            let side = after.imageSide
            let pixels = side * side
            func channel(_ values: [Float], _ index: Int) -> [Float] {
                Array(values[(index * pixels)..<((index + 1) * pixels)])
            }
            let encoding = InputEncoding.rgbStains
            for index in 0..<encoding.channels {
                #expect(channel(after.teacherInput, index).sorted() == channel(before.input, index).sorted())
            }
            // The spoilt image still shows the same nuclei in the same places.
            let clean = channel(after.teacherInput, encoding.hematoxylinChannel)
            let correlation = try #require(
                Ranks.correlation(
                    channel(after.input, encoding.hematoxylinChannel).map(Double.init), clean.map(Double.init),
                    weights: [Double](repeating: 1, count: pixels)))
            #expect(after.input != after.teacherInput && correlation > 0.7)
            let density = Plane(width: side, height: side, values: clean.map { ($0 + 0.5) / encoding.stainScale })
            let expected = density.roundness(sigma: NucleusShape.smoothing)
            #expect(zip(expected.values, after.evidence).allSatisfy { abs($0 - $1) < 1e-4 })
        }
        let validations = (
            try plain.validationBatches().flatMap(\.input), try spoilt.validationBatches().flatMap(\.input)
        )
        #expect(validations.0 == validations.1, "what is held out stays as it is")
    }

    /// The mask knows the truth: an offset of half a region, or x and y swapped, would ruin this.
    @Test func regionsLieWhereTheirLymphocytesAre() throws {
        let slide = try slide()
        let mask = try PNG.readLargest(PhantomFixture.folder.appendingPathComponent("masks/phantom-1.png"))
        var errors: [Double] = []
        for (position, known) in slide.regions.known {
            let corner = slide.regions.corner(position)
            var count = 0
            for y in corner.y..<(corner.y + 100) {
                for x in corner.x..<(corner.x + 100) where mask[x, y] > 0 { count += 1 }
            }
            // p = √(f / 0.4) + N(0, 0.05)
            errors.append(abs((Double(count) / 4000).squareRoot() - (Double(known) + 0.5) / 10))
        }
        #expect(errors.count > 20)
        #expect(errors.reduce(0, +) / Double(errors.count) < 0.08)
    }

    @Test func aBatchIsTheSameEachTimeAndFitsItsLayout() throws {
        let set = try set()
        #expect(set.layout == .native)
        let (a, b) = (try set.batch(step: 5, count: 3, seed: 1), try set.batch(step: 5, count: 3, seed: 1))
        #expect(a.input == b.input && a.blocks == b.blocks)
        #expect(try set.batch(step: 6, count: 3, seed: 1).input != a.input)
        #expect(a.blocks.count == 12 && a.blocks.contains { $0 != .unknown })
    }

    @Test func colourLabelsAreTheFractionWithLeastHaematoxylin() throws {
        let batch = try set { $0.sampling.colorDarkestMultiple = 0 }.batch(step: 1, count: 2, seed: 1)
        let labelled = batch.hints.filter { $0 == 0 }.count
        #expect(abs(Double(labelled) / Double(batch.hints.count) - 0.2) < 0.01)
        #expect(batch.hints.allSatisfy { $0 <= 0 })
    }

    /// In a block of a known class everything is labelled but the darkest κ · η of its pixels.
    @Test func colourLabelsLeaveTheDarkestOfEachBlockOpen() throws {
        let layout = BlockLayout(margin: 4, blocksPerSide: 2, blockSide: 20)
        var generator = SeededGenerator(seed: 1)
        var image = RGBImage(width: 48, height: 48)
        for y in 0..<48 {
            for x in 0..<48 {
                let value = UInt8.random(in: 20...230, using: &generator)
                image[x, y] = (value, value / 2, value)
            }
        }
        let expected = Plane<Double?>(width: 2, height: 2, values: [0, 0.2, nil, 0.9])
        let labels = ColorLabels(fraction: 0.2, darkestMultiple: 1.5).labels(
            of: image, layout: layout, expected: expected)
        func share(_ column: Int, _ row: Int) -> Double {
            let part = labels.cropped(x: 4 + 20 * column, y: 4 + 20 * row, width: 20, height: 20)
            return Double(part.values.count { $0 == 0 }) / 400
        }
        #expect(abs(share(0, 0) - 0.95) < 0.02)
        #expect(abs(share(1, 0) - 0.7) < 0.02)
        #expect(abs(share(1, 1) - 0.2) < 0.02)
        let hematoxylin = ColorDeconvolution.hematoxylinEosin.hematoxylin(image).blurred(sigma: 1)
        var (open, closed) = (Float.infinity, -Float.infinity)
        for y in 4..<24 {
            for x in 24..<44 {
                if labels[x, y] == 0 {
                    closed = max(closed, hematoxylin[x, y])
                } else {
                    open = min(open, hematoxylin[x, y])
                }
            }
        }
        #expect(closed <= open)
    }

    @Test func fineLabelsLieOnTheirNucleiAndOnlyInRegionsThatAreUsed() throws {
        let folder = PhantomFixture.folder
        let slide = try LabelledSlide(
            SlideFile(folder.appendingPathComponent("phantom-1.svs")),
            heatmaps: folder.appendingPathComponent("heatmaps"),
            masks: folder.appendingPathComponent("masks"), micronsPerPixel: 0.5, givenScale: nil,
            coarseClasses: ProbabilityClasses())
        let batch = try set(slides: [slide]).batch(step: 3, count: 4, seed: 1)
        #expect(batch.fineLabels.count == batch.hints.count)
        // Phantom lymphocytes are dark: the haematoxylin channel is higher on them.
        let (pixels, channel) = (
            batch.imageSide * batch.imageSide, InputEncoding.rgbStains.hematoxylinChannel
        )
        var (inside, outside): ((Float, Float), (Float, Float)) = ((0, 0), (0, 0))
        for image in 0..<4 {
            for i in 0..<pixels where batch.fineLabels[image * pixels + i] >= 0 {
                let value = batch.input[(image * 5 + channel) * pixels + i]
                if batch.fineLabels[image * pixels + i] == 1 {
                    inside = (inside.0 + value, inside.1 + 1)
                } else {
                    outside = (outside.0 + value, outside.1 + 1)
                }
            }
        }
        #expect(inside.1 > 100)
        #expect(inside.0 / inside.1 > outside.0 / outside.1 + 0.2)
        // The margin is never labelled.
        #expect(batch.fineLabels[0] == -1)
        let few = try set(slides: [slide]) { $0.sampling.fineFraction = 0.3 }
        let counts = try (1...8).map { try few.batch(step: $0, count: 4, seed: 1).fineLabels.count { $0 >= 0 } }
        let all = try (1...8).map { step in
            try set(slides: [slide]).batch(step: step, count: 4, seed: 1).fineLabels.count { $0 >= 0 }
        }
        #expect(counts.reduce(0, +) > 0 && counts.reduce(0, +) < all.reduce(0, +) * 6 / 10)
    }

    @Test func masksAreFoundByTheirSlidesNameAndNeverGuessed() throws {
        #expect(
            FineMask.slideNames(of: URL(fileURLWithPath: "/x/TCGA.DX1.abc.lymphocytes.png"))
                == ["TCGA.DX1.abc.lymphocytes", "TCGA.DX1.abc"])
        try TestFolders.withTemporary { folder in
            let plane = Plane<UInt8>(width: 4, height: 4, values: (0..<16).map { $0 == 5 ? 1 : 0 })
            try PNG.write(plane, to: folder.appendingPathComponent("s.1.lymphocytes.png"))
            let own = SlideFile(folder.appendingPathComponent("s.1.svs"))
            let mask = try FineMask(for: own, in: folder)
            #expect(mask.identity.count { $0 != 0 } == 1)
            #expect(mask.isLymphocyte(level0X: 1.5, level0Y: 1.5) == true)
            #expect(mask.isLymphocyte(level0X: 4, level0Y: 0) == nil)
            try PNG.write(plane, to: folder.appendingPathComponent("s.1.png"))
            let error = try #require(throws: SlideError.self) { try FineMask(for: own, in: folder) }
            #expect(error.message.contains("s.1.lymphocytes.png and s.1.png"))
            // The mask of s.1 is no mask of s.
            for other in ["s.2.svs", "s.svs"] {
                #expect(throws: InputError.self) {
                    try FineMask(for: SlideFile(folder.appendingPathComponent(other)), in: folder)
                }
            }
        }
    }

    @Test func aMaskOfAnotherSizeIsRefused() throws {
        try TestFolders.withTemporary { folder in
            try PNG.write(
                Plane<UInt8>(width: 10, height: 10, repeating: 0), to: folder.appendingPathComponent("phantom-1.png"))
            let error = try #require(throws: InputError.self) {
                try LabelledSlide(
                    SlideFile(PhantomFixture.folder.appendingPathComponent("phantom-1.svs")),
                    heatmaps: PhantomFixture.folder.appendingPathComponent("heatmaps"), masks: folder,
                    micronsPerPixel: 0.5, givenScale: nil, coarseClasses: ProbabilityClasses())
            }
            #expect(error.message.contains("10×10"))
        }
    }

    @Test func heldOutRegionsAreNeverTrainedOn() throws {
        let slides = try [slide("phantom-1"), slide("phantom-2")]
        let set = try set(slides: slides)
        #expect(Set(set.split.training.joined()).isDisjoint(with: Set(set.split.validation.joined())))
        let known = slides.map { $0.regions.known.count }.reduce(0, +)
        #expect(set.split.training.joined().count + set.split.validation.joined().count == known)
    }

    @Test func aSlideWithoutHeatmapIsNamed() throws {
        try TestFolders.withTemporary { folder in
            let error = try #require(throws: SlideError.self) {
                try LabelledSlide(
                    SlideFile(PhantomFixture.folder.appendingPathComponent("phantom-1.svs")), heatmaps: folder,
                    micronsPerPixel: 0.5,
                    givenScale: nil, coarseClasses: ProbabilityClasses())
            }
            #expect(error.message.contains("phantom-1"))
        }
    }

    @Test func truthMasksGiveThePriorsOfTheirHeatmaps() throws {
        let folder = PhantomFixture.folder
        let classes = ProbabilityClasses(count: 2)
        let priors = try MaskPriors.read(
            masks: folder.appendingPathComponent("masks"), heatmaps: folder.appendingPathComponent("heatmaps"),
            classes: classes)
        #expect(priors.means[0][1] < 0.1 && priors.means[1][1] > 0.12 && priors.means[1][1] < 0.42)
    }
}
