internal import BatchWork
internal import CoarseTraining
internal import Failures
public import Foundation
internal import LabelSuperResolution
public import ResultStore
public import WholeSlide

/// A coarse region drawn for counting.
public struct RegionSample: Codable, Sendable, Equatable {
    public let slide: String
    public let coarseClass: Int
    /// Level-0 pixels.
    public let level0X: Double
    public let level0Y: Double
    public let level0Side: Double
    /// µm.
    public let sideMicrons: Double

    /// The region as a square to count in.
    public var square: SquareRecord {
        SquareRecord(
            slide: slide, level0X: level0X, level0Y: level0Y, level0Side: level0Side, sideMicrons: sideMicrons,
            coarseClass: coarseClass)
    }

    /// Draws regions of each class at random from the slides that have a heatmap.
    ///
    /// - Returns: the regions by class; classes that occur less often have fewer.
    /// - Throws: where no slide has a usable heatmap.
    public static func draw(
        slides: [SlideFile], heatmaps: URL, givenScale: Double? = nil, perClass: Int = ContactSheets.regionsPerClass,
        seed: UInt64
    ) throws -> [RegionSample] {
        let classes = ProbabilityClasses()
        let (opened, failures) = open(slides, heatmaps: heatmaps, givenScale: givenScale, classes: classes)
        guard !opened.isEmpty else {
            throw InputError(.unusable, failures.first?.message ?? "there are no slides to count on")
        }
        return choose(from: opened, classes: classes, perClass: perClass, seed: seed).map { choice in
            let slide = opened[choice.slide]
            let corner = slide.regions.corner(choice.position)
            let frame = slide.reader.frame
            return RegionSample(
                slide: slide.name, coarseClass: choice.coarseClass,
                level0X: frame.level0(Double(corner.x)).rounded(), level0Y: frame.level0(Double(corner.y)).rounded(),
                level0Side: frame.level0(slide.regions.workingSide),
                sideMicrons: (slide.regions.workingSide * frame.micronsPerPixel * 10).rounded() / 10)
        }
    }

    /// The slides that have a usable heatmap, and why the others have none.
    static func open(
        _ slides: [SlideFile], heatmaps: URL, givenScale: Double?, classes: ProbabilityClasses
    ) -> (opened: [LabelledSlide], failures: [FailedInput]) {
        var opened: [LabelledSlide] = []
        var failures: [FailedInput] = []
        for file in slides {
            do {
                opened.append(
                    try LabelledSlide(
                        file, heatmaps: heatmaps, micronsPerPixel: LymphocyteTraining.micronsPerPixel,
                        givenScale: givenScale,
                        coarseClasses: classes))
            } catch {
                failures.append(FailedInput(name: file.title, error: error))
            }
        }
        return (opened, failures)
    }

    /// The same choice for the same slides and seed.
    static func choose(
        from slides: [LabelledSlide], classes: ProbabilityClasses, perClass: Int, seed: UInt64
    ) -> [(coarseClass: Int, slide: Int, position: BlockGrid.Position)] {
        var generator = SeededGenerator(seed: seed)
        return (0..<classes.count).flatMap { known in
            let places = slides.indices.flatMap { slide in
                slides[slide].regions.known.filter { $0.coarseClass == known }.map { (slide, $0.position) }
            }
            return places.shuffled(using: &generator).prefix(perClass).map { (known, $0.0, $0.1) }
        }
    }
}
