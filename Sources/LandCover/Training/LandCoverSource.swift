internal import BatchWork
internal import Failures
internal import Foundation
public import GeoRaster
public import LabelSuperResolution
internal import Raster

/// One training image with its coarse raster and, where there is one, the labels of its pixels.
public struct LandImage: Sendable {
    public let name: String
    public let image: GeoRaster
    public let cells: CoarseCells
    /// On the image's own pixels.
    public let fine: GeoRaster?

    public init(name: String, image: GeoRaster, cells: CoarseCells, fine: GeoRaster?) throws {
        self.name = name
        self.image = image
        self.cells = cells
        self.fine = fine
        if let fine, !fine.hasPixels(of: image) {
            throw InputError(
                .unusable,
                "fine raster \(fine.url.path) of \(fine.width)×\(fine.height) px does not have the pixels of \(image.url.path), \(image.width)×\(image.height): warp it to them"
            )
        }
    }
}

/// How training images are drawn.
public struct LandSampling: Codable, Equatable, Sendable {
    /// Side of a training image in pixels.
    public var side: Int
    /// A class is drawn with a probability in proportion to this power of its frequency: 0 for all classes alike (paper
    /// Appendix A).
    public var frequencyExponent: Double
    /// Every class of a batch weighs the same in the loss, however many cells it has: else the commonest class, which is in almost
    /// every image, drowns the rest.
    public var balancesClasses: Bool
    /// Light and contrast vary: all bands together are multiplied by up to 1 ± this, and as much of a deviation is added; each band
    /// alone varies by ``ownShare`` of it.
    public var jitter: Double
    /// Share of coarse cells whose pixels' fine labels are used.
    public var fineFraction: Double

    /// The sun and the sensor change all bands nearly alike; how bands differ tells what is on the ground.
    static let ownShare = 0.3

    public init(
        side: Int, frequencyExponent: Double = 0, balancesClasses: Bool = true, jitter: Double = 0.25,
        fineFraction: Double = 1
    ) {
        self.side = side
        self.balancesClasses = balancesClasses
        self.frequencyExponent = frequencyExponent
        self.jitter = jitter
        self.fineFraction = fineFraction
    }
}

/// Training images with coarse cells as blocks, read from disk as they are drawn.
public struct LandCoverSource: BlockSource {
    private let images: [LandImage]
    private let scaling: BandScaling
    private let sampling: LandSampling
    private let lookup: CodeLookup
    private let seed: UInt64
    private let index: CellIndex
    public let identity: String

    /// - Parameters:
    ///   - side: a multiple of the network's grid.
    /// - Throws: where a raster cannot be read; ``InputError`` where no cell is left.
    public init(
        _ images: [LandImage], scaling: BandScaling, sampling: LandSampling, coarse: LandClasses, labels: LandClasses,
        seed: UInt64
    ) throws {
        self.images = images
        self.scaling = scaling
        self.sampling = sampling
        lookup = labels.lookup
        self.seed = seed
        index = try CellIndex(images.map(\.cells), classes: coarse.count, seed: seed)
        guard index.training.contains(where: { !$0.isEmpty }) else {
            throw InputError(
                .unusable,
                "no coarse cell lies on the images: the rasters do not overlap, or hold other codes than the table")
        }
        var fingerprint = Fingerprint()
        for image in images { fingerprint.add("\(image.name) \(image.image.width) \(image.image.height)".utf8) }
        for cells in index.training { fingerprint.add("\(cells.count)".utf8) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        fingerprint.add(try encoder.encode([scaling.means, scaling.deviations]))
        fingerprint.add(try encoder.encode(sampling))
        identity = fingerprint.text
    }

    /// Cells of each class that are trained on.
    public var cellsPerClass: [Int] { index.training.map(\.count) }

    public func batch(step: Int, count: Int, seed: UInt64) throws -> BlockBatch {
        var generator = SeededGenerator(seed: seed, stream: UInt64(step))
        var places: [(image: Int, x: Int, y: Int)] = []
        for _ in 0..<count {
            let cell = draw(&generator)
            // The cell lies anywhere in the image but at its very edge.
            let most = sampling.side - 1 - sampling.side / 4
            let shift = { (generator: inout SeededGenerator) in Int.random(in: (most / 3)...most, using: &generator) }
            places.append((cell.image, cell.x - shift(&generator), cell.y - shift(&generator)))
        }
        return try batch(places, isTraining: true, generator: &generator)
    }

    public func validationBatches() throws -> [BlockBatch] {
        // Where too little is there to hold any out, training's own cells show at least whether it learns.
        let pool = index.validation.contains { !$0.isEmpty } ? index.validation : index.training
        var generator = SeededGenerator(seed: seed, stream: .max - 1)
        var places: [(image: Int, x: Int, y: Int)] = []
        for cells in pool {
            for cell in cells.shuffled(using: &generator).prefix(6) {
                places.append((cell.image, cell.x - sampling.side / 2, cell.y - sampling.side / 2))
            }
        }
        return try stride(from: 0, to: places.count, by: 8).map { start in
            try batch(
                Array(places[start..<min(start + 8, places.count)]), isTraining: false, generator: &generator)
        }
    }

    private func draw(_ generator: inout SeededGenerator) -> CellIndex.Cell {
        let weights = index.training.map { $0.isEmpty ? 0 : pow(Double($0.count), sampling.frequencyExponent) }
        var rest = Double.random(in: 0..<weights.reduce(0, +), using: &generator)
        let known =
            weights.indices.first { known in
                rest -= weights[known]
                return weights[known] > 0 && rest < 0
            } ?? weights.lastIndex { $0 > 0 } ?? 0
        return index.training[known][Int.random(in: 0..<index.training[known].count, using: &generator)]
    }

    private func batch(
        _ places: [(image: Int, x: Int, y: Int)], isTraining: Bool, generator: inout SeededGenerator
    ) throws -> BlockBatch {
        let side = sampling.side
        let pixels = side * side
        var input: [Float] = []
        var numbers: [Int32] = []
        var fine: [Int8] = []
        var blocks: [BlockLabel] = []
        let hasFine = isTraining && images.contains { $0.fine != nil }
        for place in places {
            var patch = try patch(place, isTraining: isTraining, firstBlock: Int32(blocks.count))
            blocks += patch.blocks
            if isTraining {
                let turn = Int.random(in: 0..<8, using: &generator)
                let order = LandCoverSource.order(side: side, turn: turn)
                let gains = gains(&generator)
                var turned = [Float](repeating: 0, count: patch.input.count)
                for band in 0..<scaling.bands {
                    let (gain, offset) = gains[band]
                    for (target, source) in order.enumerated() {
                        turned[band * pixels + target] = patch.input[band * pixels + source] * gain + offset
                    }
                }
                patch.input = turned
                patch.numbers = order.map { patch.numbers[$0] }
                if hasFine { patch.fine = order.map { patch.fine[$0] } }
            }
            input += patch.input
            numbers += patch.numbers
            if hasFine { fine += patch.fine }
        }
        return BlockBatch(
            shapes: .sets(PixelSets(imageSide: side, numbers: numbers, count: blocks.count)), channels: scaling.bands,
            input: input, blocks: blocks, blockWeights: isTraining ? weights(of: blocks) : [], fineLabels: fine)
    }

    /// Factor and offset of each band.
    private func gains(_ generator: inout SeededGenerator) -> [(Float, Float)] {
        let own = LandSampling.ownShare * sampling.jitter
        func draw(_ width: Double) -> Double { Double.random(in: -1...1, using: &generator) * width }
        let common = (draw(sampling.jitter), draw(sampling.jitter))
        return (0..<scaling.bands).map { _ in (Float(1 + common.0 + draw(own)), Float(common.1 + draw(own))) }
    }

    /// Weights with which all classes of a batch weigh the same, 1 on average; empty where blocks do.
    private func weights(of blocks: [BlockLabel]) -> [Float] {
        guard sampling.balancesClasses, !blocks.isEmpty else { return [] }
        let counts = Dictionary(blocks.map { ($0, 1) }, uniquingKeysWith: +)
        return blocks.map { Float(blocks.count) / Float(counts.count * (counts[$0] ?? 1)) }
    }

    private struct Patch {
        var input: [Float]
        var numbers: [Int32]
        var fine: [Int8]
        var blocks: [BlockLabel]
    }

    /// A square of an image with the cells in it; of a cell that the square cuts, half must be inside.
    private func patch(_ place: (image: Int, x: Int, y: Int), isTraining: Bool, firstBlock: Int32) throws -> Patch {
        let side = sampling.side
        let image = images[place.image]
        // Within the image where it is large enough.
        let x = max(0, min(place.x, image.image.width - side))
        let y = max(0, min(place.y, image.image.height - side))
        let (input, isData) = try scaling.input(of: image.image, x: x, y: y, width: side, height: side)
        let window = GeoRaster.Window(
            column: x, row: y, width: min(side, image.image.width - x), height: min(side, image.image.height - y))
        let (grid, classes) = try image.cells.cells(in: window)
        struct Sum {
            var count = 0
            var x = 0
            var y = 0
        }
        var sums = [Sum](repeating: Sum(), count: classes.count)
        for row in 0..<window.height {
            for column in 0..<window.width where isData[row * side + column] {
                let cell = Int(grid.cells[row * window.width + column])
                guard cell >= 0 else { continue }
                sums[cell].count += 1
                sums[cell].x += column
                sums[cell].y += row
            }
        }
        var blocks: [BlockLabel] = []
        var own = [Int32](repeating: -1, count: classes.count)
        var showsFine = [Bool](repeating: false, count: classes.count)
        for cell in classes.indices {
            guard let known = classes[cell], sums[cell].count >= image.cells.leastCellPixels else { continue }
            let middle = (x + sums[cell].x / sums[cell].count, y + sums[cell].y / sums[cell].count)
            let isOut = index.isHeldOut(image: place.image, x: middle.0, y: middle.1)
            showsFine[cell] = !isOut && isLabelled(image: place.image, key: grid.keys[cell])
            if isTraining && isOut { continue }
            own[cell] = firstBlock + Int32(blocks.count)
            blocks.append(.coarseClass(known))
        }
        var numbers = [Int32](repeating: -1, count: side * side)
        var fine = [Int8](repeating: -1, count: side * side)
        let values = isTraining ? try image.fine?.values(band: 0, in: window) : nil
        for row in 0..<window.height {
            for column in 0..<window.width where isData[row * side + column] {
                let cell = Int(grid.cells[row * window.width + column])
                guard cell >= 0 else { continue }
                numbers[row * side + column] = own[cell]
                if let values, showsFine[cell], let label = lookup[values[row * window.width + column]] {
                    fine[row * side + column] = Int8(label)
                }
            }
        }
        return Patch(input: input, numbers: numbers, fine: fine, blocks: blocks)
    }

    /// Whether a cell's fine labels are used: a share of the cells, drawn once by the seed.
    private func isLabelled(image: Int, key: Int) -> Bool {
        guard sampling.fineFraction < 1 else { return true }
        var generator = SeededGenerator(
            seed: seed ^ 0x6669_6e65, stream: UInt64(image) << 48 ^ UInt64(bitPattern: Int64(key)))
        return Double.random(in: 0..<1, using: &generator) < sampling.fineFraction
    }

    /// The pixel that each pixel of a turned or mirrored square comes from.
    private static func order(side: Int, turn: Int) -> [Int] {
        (0..<side * side).map { index in
            var (x, y) = (index % side, index / side)
            if turn & 1 != 0 { x = side - 1 - x }
            if turn & 2 != 0 { y = side - 1 - y }
            return turn & 4 != 0 ? x * side + y : y * side + x
        }
    }
}
