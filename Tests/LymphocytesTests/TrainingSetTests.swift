import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import Testing
import WholeSlide

@testable import Lymphocytes

struct TrainingSetTests {
    private func slide(_ name: String = "phantom-1") throws -> TrainingSlide {
        try TrainingSlide(
            PhantomFixture.folder.appendingPathComponent("\(name).svs"),
            heatmaps: PhantomFixture.folder.appendingPathComponent("heatmaps"), micronsPerPixel: 0.5, givenScale: nil,
            coarseClasses: CoarseClasses())
    }

    private func set() throws -> TrainingSet {
        var configuration = TrainingPreset.fast.configuration(inputChannels: 5, labels: 2, seed: 2)
        configuration.stainJitter = 0
        return try TrainingSet(
            slides: [slide()], encoding: .rgbStains, configuration: configuration, coarseClasses: CoarseClasses())
    }

    /// The mask knows the truth: an offset of half a region, or x and y swapped, would ruin this.
    @Test func regionsLieWhereTheirLymphocytesAre() throws {
        let slide = try slide()
        let mask = try PNG.readGray(PhantomFixture.folder.appendingPathComponent("masks/phantom-1.png"))
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
        #expect(a.input == b.input && a.classes == b.classes)
        #expect(try set.batch(step: 6, count: 3, seed: 1).input != a.input)
        #expect(a.classes.count == 12 && a.classes.contains { $0 != nil })
    }

    @Test func colourLabelsAreTheFractionWithLeastHaematoxylin() throws {
        let batch = try set().batch(step: 1, count: 2, seed: 1)
        let labelled = batch.pixelLabels.filter { $0 == 0 }.count
        #expect(abs(Double(labelled) / Double(batch.pixelLabels.count) - 0.2) < 0.01)
        #expect(batch.pixelLabels.allSatisfy { $0 <= 0 })
    }

    @Test func heldOutRegionsAreNeverTrainedOn() throws {
        let slides = try [slide("phantom-1"), slide("phantom-2")]
        let configuration = TrainingPreset.fast.configuration(inputChannels: 5, labels: 2, seed: 2)
        let set = try TrainingSet(
            slides: slides, encoding: .rgbStains, configuration: configuration, coarseClasses: CoarseClasses())
        #expect(Set(set.training.joined()).isDisjoint(with: Set(set.validation.joined())))
        let known = slides.map { $0.regions.known.count }.reduce(0, +)
        #expect(set.training.joined().count + set.validation.joined().count == known)
    }

    @Test func aSlideWithoutHeatmapIsNamed() throws {
        try TestFolders.withTemporary { folder in
            let error = try #require(throws: SlideError.self) {
                try TrainingSlide(
                    PhantomFixture.folder.appendingPathComponent("phantom-1.svs"), heatmaps: folder,
                    micronsPerPixel: 0.5,
                    givenScale: nil, coarseClasses: CoarseClasses())
            }
            #expect(error.message.contains("phantom-1"))
        }
    }

    @Test func truthMasksGiveThePriorsOfTheirHeatmaps() throws {
        let folder = PhantomFixture.folder
        let classes = CoarseClasses(count: 2)
        let priors = try MaskPriors.read(
            masks: folder.appendingPathComponent("masks"), heatmaps: folder.appendingPathComponent("heatmaps"),
            classes: classes)
        #expect(priors.means[0][1] < 0.1 && priors.means[1][1] > 0.12 && priors.means[1][1] < 0.42)
    }
}
