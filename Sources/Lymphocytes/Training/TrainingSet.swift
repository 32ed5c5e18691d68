internal import BatchWork
public import CoarseTraining
internal import Failures
internal import Foundation
public import LabelSuperResolution
public import Logging
internal import Raster
internal import WholeSlide

/// Blocks of slides with their coarse labels, drawn as ``SlideSampling`` says.
public struct TrainingSet: BlockSource, CalibrationBlocks {
    typealias Place = BlockSplit.Place

    public let slides: [LabelledSlide]
    /// The slides' grids of blocks; a place's image is one of these.
    private let grids: [(slide: Int, blocks: BlockGrid)]
    public let encoding: InputEncoding
    public let layout: BlockLayout
    private let validationLayout: BlockLayout
    private let architecture: UNetArchitecture
    private let sampling: SlideSampling
    private let priors: LabelPriors
    let split: BlockSplit
    /// Set where the images are for a student.
    private var noise: ImageNoise?
    /// Whether batches say what nuclei's shapes tell.
    private var givesEvidence = false
    /// Of regions that cannot be read.
    public var logger = Logger.silent

    /// Regions of validation per class that are looked at: enough for a stable mean, few enough to be quick.
    private static let mostValidationRegions = 24
    /// Regions of each class that the threshold is found on.
    private static let mostCalibrationRegions = 64
    /// Unreadable regions in a row after which the slides are taken to be broken.
    private static let mostAttempts = 20
    /// - Throws: ``InputError`` where the slides' regions differ in size or no region is left.
    public init(
        slides: [LabelledSlide], encoding: InputEncoding, settings: LymphocyteSettings, priors: LabelPriors
    ) throws {
        grids = slides.enumerated().flatMap { index, slide in slide.grids.map { (index, $0) } }
        guard let first = grids.first else {
            throw InputError(.unusable, "no slide with coarse labels is left to train on")
        }
        // Even, so that a margin can fill the image up to a multiple of the pooling grid.
        let side = max(2, Int((first.blocks.workingSide / 2).rounded()) * 2)
        for grid in grids where abs(grid.blocks.workingSide - Double(side)) > 2 {
            throw InputError(
                .unusable,
                "the regions or squares of \(slides[grid.slide].name) are \(grid.blocks.workingSide) working pixels wide, "
                    + "those of \(slides[first.slide].name) \(side): train on slides with equal ones")
        }
        architecture = settings.training.architecture
        sampling = settings.sampling
        let multiple = max(16, architecture.gridMultiple)
        // Single squares have no labelled neighbours: an image around each shows more of them.
        let blocksPerSide = slides.contains { $0.heatmap != nil } ? 2 : 1
        layout = BlockLayout.fitting(blocksPerSide: blocksPerSide, blockSide: side, multiple: multiple)
        validationLayout = BlockLayout.fitting(blocksPerSide: 1, blockSide: side, multiple: multiple)
        self.slides = slides
        self.encoding = encoding
        self.priors = priors
        split = BlockSplit(grids.map(\.blocks), classes: priors.classCount, seed: settings.training.seed)
        guard split.training.contains(where: { !$0.isEmpty }) else {
            throw InputError(
                .unusable, "no heatmap region lies on tissue: check that heatmaps and slides belong together")
        }
    }

    /// The same regions, held out or not, as a student sees them: spoilt by noise, and with what nuclei's shapes tell where its
    /// objective asks for that.
    public func forStudent(_ settings: LymphocyteSettings) -> TrainingSet {
        var set = self
        set.noise = settings.sampling.studentNoise
        set.givesEvidence = settings.training.student.map { $0.evidenceWeight != 0 } ?? false
        return set
    }

    public func batch(step: Int, count: Int, seed: UInt64) throws -> BlockBatch {
        var generator = SeededGenerator(seed: seed, stream: UInt64(step))
        var input: [Float] = []
        var blocks: [BlockLabel] = []
        var hints: [Int8] = []
        var fineLabels: [Int8] = []
        var teacherInput: [Float] = []
        var evidence: [Float] = []
        input.reserveCapacity(count * encoding.channels * layout.imageSide * layout.imageSide)
        for _ in 0..<count {
            let sample = try drawReadable(using: &generator)
            encoding.append(sample.image, to: &input)
            blocks += sample.labels.values
            hints += sample.colors.values
            fineLabels += sample.fine?.values ?? []
            if let seen = sample.teacherImage { encoding.append(seen, to: &teacherInput) }
            evidence += sample.evidence?.values ?? []
        }
        return BlockBatch(
            layout: layout, channels: encoding.channels, input: input, blocks: blocks, hints: hints,
            fineLabels: fineLabels, teacherInput: teacherInput, evidence: evidence)
    }

    /// An image with what is known of it.
    private struct Sample {
        let image: RGBImage
        let labels: Plane<BlockLabel>
        /// What colour tells.
        let colors: Plane<Int8>
        /// What masks tell, where there are some.
        let fine: Plane<Int8>?
        /// What teachers see where it is not `image`.
        let teacherImage: RGBImage?
        /// What the nuclei's shapes tell, where it is asked for.
        let evidence: Plane<Float>?
    }

    /// Draws until a region can be read; which are drawn still depends on the generator alone.
    private func drawReadable(using generator: inout SeededGenerator) throws -> Sample {
        for attempt in 1... {
            let place = split.draw(frequencyExponent: sampling.frequencyExponent, using: &generator)
            // The drawn region is any one of the image's blocks.
            let n = layout.blocksPerSide
            let position = BlockGrid.Position(
                column: place.position.column - Int.random(in: 0..<n, using: &generator),
                row: place.position.row - Int.random(in: 0..<n, using: &generator))
            do {
                if let share = sampling.unlabelledShare, Double.random(in: 0..<1, using: &generator) < share {
                    return try drawUnlabelled(slide: grids[place.image].slide, using: &generator)
                }
                return try draw(grid: place.image, position: position, using: &generator)
            } catch let error as SlideError where attempt < TrainingSet.mostAttempts {
                // One unreadable tile must not end a night's training; a slide full of them must.
                let name = slides[grids[place.image].slide].name
                logger.debug("a region of \(name) is left out: \(explanation(of: error))")
            }
        }
        throw InputError(.unusable, "no region can be read")
    }

    private func draw(
        grid index: Int, position: BlockGrid.Position, using generator: inout SeededGenerator
    ) throws -> Sample {
        let (slideIndex, grid) = grids[index]
        var corner = grid.corner(position)
        if sampling.gridOffset > 0 {
            let most = Int(sampling.gridOffset * Double(layout.blockSide))
            corner.x += Int.random(in: -most...most, using: &generator)
            corner.y += Int.random(in: -most...most, using: &generator)
        }
        let n = layout.blocksPerSide
        var labels = Plane<BlockLabel>(width: n, height: n, repeating: .unknown)
        for row in 0..<n {
            for column in 0..<n {
                let neighbour = BlockGrid.Position(column: position.column + column, row: position.row + row)
                if !split.isHeldOut(Place(image: index, position: neighbour)) {
                    labels[column, row] = grid.label(neighbour)
                }
            }
        }
        return try sample(slide: slideIndex, corner: corner, labels: labels, using: &generator) { mask in
            fineLabels(of: index, mask: mask, position: position, corner: corner, labels: labels)
        }
    }

    /// Tissue of which nothing is known but what colour tells, and what teachers find there.
    private func drawUnlabelled(slide index: Int, using generator: inout SeededGenerator) throws -> Sample {
        let slide = slides[index]
        let frame = slide.reader.frame
        // Half of these images show what readers marked, where they marked something.
        let marks = slide.mask?.marks ?? []
        let mark = marks.isEmpty || Bool.random(using: &generator) ? nil : marks.randomElement(using: &generator)
        let place = mark.map { (x: $0.x, y: $0.y) } ?? slide.tissue.place(using: &generator)
        let half = Double(layout.blocksPerSide * layout.blockSide) / 2
        let corner = (
            x: Int((frame.working(place.x) - half).rounded()), y: Int((frame.working(place.y) - half).rounded())
        )
        let n = layout.blocksPerSide
        let nothing = Plane<BlockLabel>(width: n, height: n, repeating: .unknown)
        return try sample(slide: index, corner: corner, labels: nothing, using: &generator) { mask in
            markedLabels(of: mask, slide: index, corner: corner)
        }
    }

    /// Reads an image and lays it down as it is to be seen.
    ///
    /// - Parameters:
    ///   - corner: of the blocks, working pixels; the margin lies around them.
    ///   - fine: gives the mask's labels before the image is turned.
    private func sample(
        slide index: Int, corner: (x: Int, y: Int), labels: Plane<BlockLabel>, using generator: inout SeededGenerator,
        fine: (FineMask) -> Plane<Int8>
    ) throws -> Sample {
        let slide = slides[index]
        let side = layout.imageSide
        let image = try slide.reader.read(
            x: corner.x - layout.margin, y: corner.y - layout.margin, width: side, height: side)
        let jitter = Float(noise?.stainJitter ?? sampling.stainJitter)
        func factor() -> Float { jitter > 0 ? 1 + Float.random(in: -jitter...jitter, using: &generator) : 1 }
        let (hematoxylin, eosin) = (factor(), factor())
        let shift = jitter / 6
        func offset() -> Float { jitter > 0 ? Float.random(in: -shift...shift, using: &generator) : 0 }
        var restained =
            jitter > 0
            ? ColorDeconvolution.hematoxylinEosin.restained(
                image, factors: (hematoxylin, eosin), offsets: (offset(), offset())) : image
        if let noise { restained = spoilt(restained, by: noise, using: &generator) }
        let drawn = Orientation.all[Int.random(in: 0..<8, using: &generator)]
        let orientation = sampling.isTurned ? drawn : Orientation(quarterTurns: 0, isFlipped: false)
        let colors = ColorLabels(
            fraction: sampling.colorLabelFraction, darkestMultiple: sampling.colorDarkestMultiple
        ).labels(
            of: image, layout: layout,
            expected: try labels.map { try priors.expectation(of: $0).map { $0.means[$0.means.count - 1] } })
        return Sample(
            image: restained.turned(orientation), labels: labels.turned(orientation),
            colors: colors.turned(orientation), fine: slide.mask.map { fine($0).turned(orientation) },
            teacherImage: noise.map { _ in image.turned(orientation) },
            evidence: givesEvidence ? NucleusShape.roundness(of: image).turned(orientation) : nil)
    }

    /// The image as another scanner might have given it.
    private func spoilt(
        _ image: RGBImage, by noise: ImageNoise, using generator: inout SeededGenerator
    ) -> RGBImage {
        let isBlurred = Bool.random(using: &generator)
        let sigma = Double.random(in: 0...max(1e-9, noise.blur), using: &generator)
        let exponent = 1 + Double.random(in: -1...1, using: &generator) * noise.gamma
        let deviation = Double.random(in: 0...1, using: &generator) * noise.deviation
        return (isBlurred ? image.blurred(sigma: sigma) : image).toned(exponent: exponent)
            .noisy(deviation: deviation) { generator.nextGaussian() }
    }

    /// What readers marked in an image; pixels of masks are for labelled blocks alone.
    private func markedLabels(of mask: FineMask, slide: Int, corner: (x: Int, y: Int)) -> Plane<Int8> {
        let side = layout.imageSide
        var labels = Plane<Int8>(width: side, height: side, repeating: -1)
        let frame = slides[slide].reader.frame
        let (left, top) = (Double(corner.x - layout.margin), Double(corner.y - layout.margin))
        let near = mask.within(
            level0X: frame.level0(left), level0Y: frame.level0(top), width: frame.level0(Double(side)),
            height: frame.level0(Double(side)))
        guard !near.marks.isEmpty else { return labels }
        for y in 0..<side {
            for x in 0..<side {
                labels[x, y] =
                    near.isLymphocyte(
                        level0X: frame.level0(left + Double(x) + 0.5), level0Y: frame.level0(top + Double(y) + 0.5)
                    ).map { $0 ? 1 : 0 } ?? -1
            }
        }
        return labels
    }

    /// The mask's labels inside the blocks that are drawn from; the margin has none, as with coarse labels.
    private func fineLabels(
        of index: Int, mask: FineMask, position: BlockGrid.Position, corner: (x: Int, y: Int),
        labels known: Plane<BlockLabel>
    ) -> Plane<Int8> {
        guard mask.marks.isEmpty else { return markedLabels(of: mask, slide: grids[index].slide, corner: corner) }
        let side = layout.imageSide
        let frame = slides[grids[index].slide].reader.frame
        var labels = Plane<Int8>(width: side, height: side, repeating: -1)
        for row in 0..<layout.blocksPerSide {
            for column in 0..<layout.blocksPerSide where known[column, row] != .unknown {
                let neighbour = BlockGrid.Position(column: position.column + column, row: position.row + row)
                guard split.isLabelled(Place(image: index, position: neighbour), fraction: sampling.fineFraction)
                else { continue }
                let (left, top) = (
                    layout.margin + column * layout.blockSide, layout.margin + row * layout.blockSide
                )
                for y in top..<(top + layout.blockSide) {
                    for x in left..<(left + layout.blockSide) {
                        let level0X = frame.level0(Double(corner.x - layout.margin + x) + 0.5)
                        let level0Y = frame.level0(Double(corner.y - layout.margin + y) + 0.5)
                        labels[x, y] =
                            mask.isLymphocyte(level0X: level0X, level0Y: level0Y).map { $0 ? 1 : 0 } ?? -1
                    }
                }
            }
        }
        return labels
    }

    public func validationBatches() throws -> [BlockBatch] {
        Array(batches(of: split.validationPlaces(most: TrainingSet.mostValidationRegions)))
    }

    /// Regions of every class on which the threshold is found, always the same, read as they are asked for.
    ///
    /// Held-out ones, made up with others: the rare high classes hold most of the pixels sought, and few of their regions are
    /// held out. Cells end where the network's counts are right on average, which is what it was trained for on these regions.
    public var calibrationBatches: some Sequence<BlockBatch> {
        batches(of: split.calibrationPlaces(most: TrainingSet.mostCalibrationRegions))
    }

    /// A region of each class with a black blot, as dark as anything can be: the regions may hold no ink, and a network in bytes
    /// must not take ink for the darkest that it was shown.
    public func extremeBatches() -> [BlockBatch] {
        let regions = zip(split.validation, split.training).compactMap { $0.first ?? $1.first }
        let images = regions.compactMap { try? image(of: $0, layout: validationLayout) }
        let side = validationLayout.imageSide
        var input: [Float] = []
        for (index, image) in images.enumerated() {
            var blotted = image
            // From a cell's size to a fold's, from dark to black.
            let (radius, level) = (8 * (1 + index % 3), UInt8(10 * (index % 4)))
            for y in 0..<side {
                for x in 0..<side {
                    let (dx, dy) = (x - side / 2, y - side / 2)
                    guard dx * dx + dy * dy <= radius * radius else { continue }
                    for channel in 0..<3 { blotted.pixels[3 * (y * side + x) + channel] = level }
                }
            }
            encoding.append(blotted, to: &input)
        }
        guard !images.isEmpty else { return [] }
        return [
            BlockBatch(
                layout: validationLayout, channels: encoding.channels, input: input,
                blocks: [BlockLabel](repeating: .unknown, count: images.count))
        ]
    }

    /// Regions with their margin, by class, 16 at a time; what cannot be read is left out.
    private func batches(of places: [[Place]]) -> some Sequence<BlockBatch> {
        let chosen = places.flatMap { $0 }
        return stride(from: 0, to: chosen.count, by: 16).lazy.compactMap { start in
            let part = chosen[start..<min(start + 16, chosen.count)].compactMap { region in
                (try? image(of: region, layout: validationLayout)).map {
                    (image: $0, label: grids[region.image].blocks.label(region.position))
                }
            }
            guard !part.isEmpty else { return nil }
            var input: [Float] = []
            for region in part { encoding.append(region.image, to: &input) }
            return BlockBatch(
                layout: validationLayout, channels: encoding.channels, input: input,
                blocks: part.map(\.label))
        }
    }

    /// A region with the layout's margin around it.
    private func image(of place: Place, layout: BlockLayout) throws -> RGBImage {
        let (slide, grid) = grids[place.image]
        let corner = grid.corner(place.position)
        return try slides[slide].reader.read(
            x: corner.x - layout.margin, y: corner.y - layout.margin, width: layout.imageSide, height: layout.imageSide)
    }

    /// Changes with the names, scales and classes of the regions, and with how images are drawn from them.
    public var identity: String {
        var fingerprint = Fingerprint()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        if let text = try? encoder.encode(sampling) { fingerprint.add(text) }
        for slide in slides {
            let size = slide.reader.slide
            fingerprint.add("\(slide.name) \(size.width)×\(size.height)".utf8)
            fingerprint.add(slide.scale.micronsPerPixel)
            if let mask = slide.mask { fingerprint.add(mask.identity) }
            for grid in slide.grids {
                for (position, known) in grid.known {
                    fingerprint.add("\(position.column),\(position.row):\(known) ".utf8)
                    guard case .expectation(let own) = grid.label(position) else { continue }
                    let corner = grid.corner(position)
                    fingerprint.add("\(corner.x),\(corner.y) \(own.means) \(own.deviations) ".utf8)
                }
            }
        }
        return fingerprint.text
    }

    /// What was used of each slide, for the model's description.
    public var summary: [SlideUse] {
        slides.enumerated().map { index, slide in
            func count(_ places: [[Place]]) -> Int {
                places.reduce(0) { $0 + $1.count { grids[$0.image].slide == index } }
            }
            return SlideUse(
                name: slide.name, regions: count(split.training), validationRegions: count(split.validation))
        }
    }

    /// What the description of a model says that is trained on this.
    public var modelSettings: LymphocyteModelSettings {
        LymphocyteModelSettings(
            inputEncoding: encoding, micronsPerPixel: LymphocyteTraining.micronsPerPixel, slides: summary,
            sampling: sampling)
    }

    /// Training regions of each coarse class.
    public var regionsPerClass: [Int] { split.training.map(\.count) }

    /// All regions of each coarse class, held out or not.
    public var countPerClass: [Int] { split.countPerClass }

    /// A few held-out regions for previews, from the lowest class that there is to the highest; from training where
    /// nothing could be held out. Their margin is as wide as the network sees.
    func previewRegions(count: Int, classNames: [String]) -> TrainingPreview.Regions {
        let layout = BlockLayout.fitting(
            blocksPerSide: 1, blockSide: self.layout.blockSide, multiple: max(16, architecture.gridMultiple),
            leastMargin: architecture.halo)
        let images = split.previewPlaces(count: count).map { known, candidates in
            let readable = candidates.prefix(TrainingSet.mostAttempts).lazy
                .compactMap { try? image(of: $0, layout: layout) }.first
            return (
                image: readable ?? RGBImage(width: layout.imageSide, height: layout.imageSide), title: classNames[known]
            )
        }
        return TrainingPreview.Regions(images: images, margin: layout.margin)
    }
}
