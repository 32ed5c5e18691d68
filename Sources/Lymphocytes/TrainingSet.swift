internal import Foundation
public import LabelSuperResolution
internal import Raster
internal import WholeSlide

/// Blocks of slides with their coarse classes, drawn so that each class comes up equally often.
public struct TrainingSet: BlockSource {
    /// A region of one of the slides.
    struct Place: Hashable, Sendable {
        let slide: Int
        let position: RegionGrid.Position
    }

    public let slides: [TrainingSlide]
    public let encoding: InputEncoding
    public let layout: BlockLayout
    private let validationLayout: BlockLayout
    private let coarseClasses: CoarseClasses
    private let configuration: TrainingConfiguration
    /// Training regions by class; a class may be empty.
    let training: [[Place]]
    let validation: [[Place]]
    private let heldOut: Set<Place>

    /// Regions of validation per class that are looked at: enough for a stable mean, few enough to be quick.
    private static let mostValidationRegions = 24
    /// Unreadable regions in a row after which the slides are taken to be broken.
    private static let mostAttempts = 20
    /// A superblock is this many regions wide: 0.6 mm, so that training and validation are different tissue.
    static let superblock = 12

    /// - Throws: ``WorkError`` where the slides' regions differ in size or no region is left.
    public init(
        slides: [TrainingSlide], encoding: InputEncoding, configuration: TrainingConfiguration,
        coarseClasses: CoarseClasses
    ) throws {
        guard let first = slides.first else { throw WorkError(.input, "no slide with a heatmap is left to train on") }
        // Even, so that a margin can fill the image up to a multiple of the pooling grid.
        let side = max(2, Int((first.regions.workingSide / 2).rounded()) * 2)
        for slide in slides where abs(slide.regions.workingSide - Double(side)) > 2 {
            throw WorkError(
                .input,
                "the heatmap regions of \(slide.name) are \(slide.regions.workingSide) working pixels wide, those of "
                    + "\(first.name) \(side): train on slides with equal regions")
        }
        let multiple = max(16, configuration.architecture.gridMultiple)
        layout = TrainingSet.layout(blocksPerSide: 2, blockSide: side, multiple: multiple)
        validationLayout = TrainingSet.layout(blocksPerSide: 1, blockSide: side, multiple: multiple)
        self.slides = slides
        self.encoding = encoding
        self.configuration = configuration
        self.coarseClasses = coarseClasses
        (training, validation) = TrainingSet.split(slides, classes: coarseClasses.count, seed: configuration.seed)
        heldOut = Set(validation.joined())
        guard training.contains(where: { !$0.isEmpty }) else {
            throw WorkError(.input, "no heatmap region lies on tissue: check that heatmaps and slides belong together")
        }
    }

    /// The smallest margin of at least `leastMargin` px that makes the image a multiple of the pooling grid.
    private static func layout(
        blocksPerSide: Int, blockSide: Int, multiple: Int, leastMargin: Int = BlockLayout.native.margin
    ) -> BlockLayout {
        var margin = leastMargin
        while (2 * margin + blocksPerSide * blockSide) % multiple != 0 { margin += 1 }
        return BlockLayout(margin: margin, blocksPerSide: blocksPerSide, blockSide: blockSide)
    }

    /// Puts about a seventh of the superblocks aside, but never so many that a class keeps under 60 % of its regions:
    /// rare high classes often sit in a single place.
    private static func split(_ slides: [TrainingSlide], classes: Int, seed: UInt64) -> ([[Place]], [[Place]]) {
        struct Superblock: Hashable {
            let slide: Int
            let column: Int
            let row: Int
        }
        var blocks: [Superblock: [(Place, Int)]] = [:]
        var order: [Superblock] = []
        var total = [Int](repeating: 0, count: classes)
        for (index, slide) in slides.enumerated() {
            for (position, known) in slide.regions.known {
                let block = Superblock(
                    slide: index, column: position.column / superblock, row: position.row / superblock)
                if blocks[block] == nil { order.append(block) }
                blocks[block, default: []].append((Place(slide: index, position: position), known))
                total[known] += 1
            }
        }
        var generator = SeededGenerator(seed: seed, stream: .max)
        order.shuffle(using: &generator)
        var training = [[Place]](repeating: [], count: classes)
        var validation = training
        var taken = [Int](repeating: 0, count: classes)
        let wanted = total.reduce(0, +) / 7
        for block in order {
            let members = blocks[block] ?? []
            var after = taken
            for (_, known) in members { after[known] += 1 }
            let isFree = zip(after, total).allSatisfy { Double($0) <= 0.4 * Double($1) }
            let isNeeded = taken.reduce(0, +) + members.count <= wanted
            if isFree && isNeeded { taken = after }
            for (place, known) in members {
                if isFree && isNeeded { validation[known].append(place) } else { training[known].append(place) }
            }
        }
        return (training, validation)
    }

    public func batch(step: Int, count: Int, seed: UInt64) throws -> BlockBatch {
        var generator = SeededGenerator(seed: seed, stream: UInt64(step))
        var input: [Float] = []
        var classes: [Int?] = []
        var pixelLabels: [Int8] = []
        input.reserveCapacity(count * encoding.channels * layout.imageSide * layout.imageSide)
        for _ in 0..<count {
            let sample = try drawReadable(using: &generator)
            encoding.append(sample.image, to: &input)
            classes += sample.classes.values
            pixelLabels += sample.labels.values
        }
        return BlockBatch(
            layout: layout, channels: encoding.channels, input: input, classes: classes, pixelLabels: pixelLabels)
    }

    /// Draws until a region can be read; which are drawn still depends on the generator alone.
    private func drawReadable(
        using generator: inout SeededGenerator
    ) throws -> (image: RGBImage, classes: Plane<Int?>, labels: Plane<Int8>) {
        for attempt in 1... {
            let drawn = drawClass(using: &generator)
            let place = training[drawn][Int.random(in: 0..<training[drawn].count, using: &generator)]
            // The drawn region is any one of the image's blocks.
            let n = layout.blocksPerSide
            let position = RegionGrid.Position(
                column: place.position.column - Int.random(in: 0..<n, using: &generator),
                row: place.position.row - Int.random(in: 0..<n, using: &generator))
            do {
                return try draw(slide: place.slide, position: position, using: &generator)
            } catch let error as SlideError where attempt < TrainingSet.mostAttempts {
                // One unreadable tile must not end a night's training; a slide full of them must.
                _ = error
            }
        }
        throw WorkError(.input, "no region can be read")
    }

    /// A class, with a probability in proportion to a power of its frequency.
    private func drawClass(using generator: inout SeededGenerator) -> Int {
        let weights = training.map { $0.isEmpty ? 0 : pow(Double($0.count), configuration.frequencyExponent) }
        var rest = Double.random(in: 0..<weights.reduce(0, +), using: &generator)
        for (index, weight) in weights.enumerated() where weight > 0 {
            rest -= weight
            if rest < 0 { return index }
        }
        return weights.lastIndex { $0 > 0 } ?? 0
    }

    private func draw(
        slide index: Int, position: RegionGrid.Position, using generator: inout SeededGenerator
    ) throws -> (image: RGBImage, classes: Plane<Int?>, labels: Plane<Int8>) {
        let slide = slides[index]
        let corner = slide.regions.corner(position)
        let side = layout.imageSide
        let image = try slide.reader.read(
            x: corner.x - layout.margin, y: corner.y - layout.margin, width: side, height: side)
        let background = ColorLabels.background(image, fraction: configuration.colorLabelFraction)
        let jitter = Float(configuration.stainJitter)
        func factor() -> Float { jitter > 0 ? 1 + Float.random(in: -jitter...jitter, using: &generator) : 1 }
        let (hematoxylin, eosin) = (factor(), factor())
        let shift = jitter / 6
        func offset() -> Float { jitter > 0 ? Float.random(in: -shift...shift, using: &generator) : 0 }
        let restained =
            jitter > 0
            ? ColorDeconvolution.hematoxylinEosin.restained(
                image, factors: (hematoxylin, eosin), offsets: (offset(), offset())) : image
        let orientation = Orientation.all[Int.random(in: 0..<8, using: &generator)]
        let n = layout.blocksPerSide
        var classes = Plane<Int?>(width: n, height: n, repeating: nil)
        for row in 0..<n {
            for column in 0..<n {
                let neighbour = RegionGrid.Position(column: position.column + column, row: position.row + row)
                classes[column, row] =
                    heldOut.contains(Place(slide: index, position: neighbour)) ? nil : slide.regions[neighbour]
            }
        }
        return (
            restained.turned(orientation), classes.turned(orientation),
            background.map { $0 ? Int8(0) : -1 }.turned(orientation)
        )
    }

    /// Up to 24 held-out regions of each class with their margin, always the same.
    private var validationSample: [(image: RGBImage, coarseClass: Int)] {
        var generator = SeededGenerator(seed: configuration.seed, stream: .max - 1)
        return validation.enumerated().flatMap { known, places in
            places.shuffled(using: &generator).prefix(TrainingSet.mostValidationRegions)
                .compactMap { place in (try? image(of: place, layout: validationLayout)).map { ($0, known) } }
        }
    }

    public func validationBatches() throws -> [BlockBatch] {
        let chosen = validationSample
        return stride(from: 0, to: chosen.count, by: 16).map { start in
            let part = chosen[start..<min(start + 16, chosen.count)]
            var input: [Float] = []
            for region in part { encoding.append(region.image, to: &input) }
            let pixels = validationLayout.imageSide * validationLayout.imageSide
            return BlockBatch(
                layout: validationLayout, channels: encoding.channels, input: input, classes: part.map(\.coarseClass),
                pixelLabels: [Int8](repeating: -1, count: part.count * pixels))
        }
    }

    /// A region with the layout's margin around it.
    private func image(of place: Place, layout: BlockLayout) throws -> RGBImage {
        let slide = slides[place.slide]
        let corner = slide.regions.corner(place.position)
        return try slide.reader.read(
            x: corner.x - layout.margin, y: corner.y - layout.margin, width: layout.imageSide, height: layout.imageSide)
    }

    /// Changes with the names, scales and classes of the regions.
    public var identity: String {
        var fingerprint = Fingerprint()
        for slide in slides {
            let size = slide.reader.slide
            fingerprint.add("\(slide.name) \(size.width)×\(size.height)".utf8)
            fingerprint.add(slide.scale.micronsPerPixel)
            for (position, known) in slide.regions.known {
                fingerprint.add("\(position.column),\(position.row):\(known) ".utf8)
            }
        }
        return fingerprint.text
    }

    /// What was used of each slide, for the model's description.
    public var summary: [ModelDescription.TrainingSlide] {
        slides.enumerated().map { index, slide in
            ModelDescription.TrainingSlide(
                name: slide.name, regions: training.reduce(0) { $0 + $1.filter { $0.slide == index }.count },
                validationRegions: validation.reduce(0) { $0 + $1.filter { $0.slide == index }.count })
        }
    }

    /// Training regions of each coarse class.
    public var regionsPerClass: [Int] { training.map(\.count) }

    /// A few held-out regions for previews, from the lowest class that there is to the highest; from training where
    /// nothing could be held out. Their margin is as wide as the network sees.
    func previewRegions(count: Int) -> TrainingPreview.Regions {
        let pool = validation.contains { !$0.isEmpty } ? validation : training
        let occupied = pool.indices.filter { !pool[$0].isEmpty }
        let architecture = configuration.architecture
        let layout = TrainingSet.layout(
            blocksPerSide: 1, blockSide: self.layout.blockSide, multiple: max(16, architecture.gridMultiple),
            leastMargin: architecture.halo)
        let images = (0..<min(count, occupied.count)).map { index in
            let known = occupied[index * (occupied.count - 1) / max(1, min(count, occupied.count) - 1)]
            let readable = pool[known].prefix(TrainingSet.mostAttempts).lazy
                .compactMap { try? image(of: $0, layout: layout) }.first
            return (readable ?? RGBImage(width: layout.imageSide, height: layout.imageSide), known)
        }
        return TrainingPreview.Regions(images: images, margin: layout.margin)
    }
}
