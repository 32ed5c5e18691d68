internal import BatchWork
public import Failures
internal import Foundation
internal import LabelSuperResolution
internal import Raster
public import ResultStore
public import WholeSlide

/// A square that might be counted, with how it looks.
public struct SquareCandidate: Sendable {
    public let square: SquareRecord
    public let features: SquareFeatures
    /// What a model finds in it; nil without one.
    public internal(set) var finding: SquareFinding?
}

/// Squares of slides from which those to be counted are chosen.
///
/// They lie on a lattice that begins at the slide's corner, where it is tissue. Of a slide with more of them than can be looked at,
/// half are drawn by chance and half among the darkest tenth, so that rare dense places are there.
public struct SquareCandidates {
    /// Of a side, µm.
    public let sideMicrons: Double
    public let givenScale: Double?
    public let seed: UInt64

    /// A square with less tissue is not offered.
    private static let leastTissue = 0.75
    /// Squares that are looked at, on all slides and at least on each.
    private static let most = 4000
    private static let leastOfSlide = 100
    /// The resolution at which a whole slide is looked over, µm.
    private static let overview = 8.0

    public init(
        sideMicrons: Double = CountedSquare.standardSide, givenScale: Double? = nil, seed: UInt64 = 1
    ) {
        self.sideMicrons = sideMicrons
        self.givenScale = givenScale
        self.seed = seed
    }

    /// The candidates of the slides, at most `slidesAtMost` of them, drawn by chance; a slide that cannot be used costs itself.
    ///
    /// - Parameters:
    ///   - model: asked what it finds in each; nil for none.
    ///   - progress: called after each slide with how many are done and how many there are.
    public func collect(
        _ slides: [SlideFile], slidesAtMost: Int = 100, model: SquareModel? = nil,
        progress: (Int, Int) -> Void = { _, _ in }
    ) -> (candidates: [SquareCandidate], failures: [FailedInput]) {
        var generator = SeededGenerator(seed: seed, stream: 11)
        let chosen =
            slides.count > slidesAtMost ? Array(slides.shuffled(using: &generator).prefix(slidesAtMost)) : slides
        var candidates: [SquareCandidate] = []
        var failures: [FailedInput] = []
        let budget = max(SquareCandidates.leastOfSlide, SquareCandidates.most / max(1, chosen.count))
        for (index, file) in chosen.enumerated() {
            do {
                candidates += try squares(of: file, atMost: budget, model: model)
            } catch {
                failures.append(FailedInput(name: file.title, error: error))
            }
            progress(index + 1, chosen.count)
        }
        return (candidates, failures)
    }

    private func squares(of file: SlideFile, atMost most: Int, model: SquareModel?) throws -> [SquareCandidate] {
        let slide = try Slide(file.url)
        let scale = try slide.scale(given: givenScale)
        let frame = try WorkingFrame(
            slide: slide, scale: scale, micronsPerPixel: LymphocyteTraining.micronsPerPixel)
        let tissue = try TissueMask(slide: slide, scale: scale)
        let side = Int((sideMicrons / frame.micronsPerPixel).rounded())
        let level0Side = frame.level0(Double(side))
        var corners: [(x: Int, y: Int)] = []
        for row in 0..<(frame.height / side) {
            for column in 0..<(frame.width / side)
            where tissue.tissueFraction(
                level0X: Double(column) * level0Side, level0Y: Double(row) * level0Side, width: level0Side,
                height: level0Side) >= SquareCandidates.leastTissue
            {
                corners.append((column * side, row * side))
            }
        }
        var generator = SeededGenerator(seed: seed, stream: SquareCandidates.stream(file.relativePath))
        if corners.count > most {
            let byChance = corners.shuffled(using: &generator)
            let dark = try darkest(corners, slide: slide, scale: scale, side: level0Side / frame.level0PerPixel)
                .shuffled(using: &generator).prefix(most / 2)
            let taken = Set(dark.map { [$0.x, $0.y] })
            corners =
                dark + byChance.lazy.filter { !taken.contains([$0.x, $0.y]) }.prefix(most - dark.count).map { $0 }
        }
        let reader = WorkingReader(slide: slide, frame: frame)
        let margin = SquareFeatures.margin
        var found: [SquareCandidate] = []
        for corner in corners {
            // What cannot be read cannot be counted either.
            guard
                let image = try? reader.read(
                    x: corner.x - margin, y: corner.y - margin, width: side + 2 * margin, height: side + 2 * margin)
            else { continue }
            found.append(
                SquareCandidate(
                    square: SquareRecord(
                        slide: file.title, level0X: frame.level0(Double(corner.x)),
                        level0Y: frame.level0(Double(corner.y)), level0Side: level0Side, sideMicrons: sideMicrons),
                    features: SquareFeatures(image)))
        }
        guard let model else { return found }
        let findings = try model.findings(
            at: found.map {
                (Int(frame.working($0.square.level0X).rounded()), Int(frame.working($0.square.level0Y).rounded()))
            }, side: side, reader: reader)
        for index in found.indices { found[index].finding = findings[index] }
        return found
    }

    /// The tenth of the squares with the most haematoxylin, as an overview of the slide shows it.
    ///
    /// - Parameter side: of a square, working pixels.
    private func darkest(
        _ corners: [(x: Int, y: Int)], slide: Slide, scale: SlideScale, side: Double
    ) throws -> [(x: Int, y: Int)] {
        let frame = try WorkingFrame(
            slide: slide, scale: scale, micronsPerPixel: max(SquareCandidates.overview, scale.micronsPerPixel))
        let reader = WorkingReader(slide: slide, frame: frame)
        let shrink = LymphocyteTraining.micronsPerPixel / frame.micronsPerPixel
        // A band of squares at a time.
        let rows = Dictionary(grouping: corners, by: \.y)
        var density: [(corner: (x: Int, y: Int), value: Float)] = []
        for (y, squares) in rows.sorted(by: { $0.key < $1.key }) {
            let top = Int(Double(y) * shrink)
            let height = max(1, Int((side * shrink).rounded()))
            guard let image = try? reader.read(x: 0, y: top, width: frame.width, height: height) else { continue }
            let hematoxylin = ColorDeconvolution.hematoxylinEosin.hematoxylin(image)
            for corner in squares {
                let left = Int(Double(corner.x) * shrink)
                var sum: Float = 0
                for row in 0..<height {
                    for column in left..<min(left + height, frame.width) { sum += hematoxylin[column, row] }
                }
                density.append((corner, sum))
            }
        }
        return density.sorted { $0.value > $1.value }.prefix(max(1, density.count / 10)).map(\.corner)
    }

    /// A stream of random numbers of a slide's own, so that other slides do not change what is drawn from it.
    private static func stream(_ name: String) -> UInt64 {
        var fingerprint = Fingerprint()
        fingerprint.add(name.utf8)
        return UInt64(fingerprint.text, radix: 16) ?? 0
    }
}
