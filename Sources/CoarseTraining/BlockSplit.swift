internal import Foundation
public import LabelSuperResolution

/// Which blocks are trained on and which are held out, and how they are drawn.
public struct BlockSplit: Sendable {
    /// A block of one of the images.
    public struct Place: Hashable, Sendable {
        public let image: Int
        public let position: BlockGrid.Position

        public init(image: Int, position: BlockGrid.Position) {
            self.image = image
            self.position = position
        }
    }

    /// Blocks to train on by class; a class may be empty.
    public let training: [[Place]]
    /// Held-out blocks by class.
    public let validation: [[Place]]
    private let heldOut: Set<Place>
    private let seed: UInt64

    /// A superblock is this many blocks wide, so that training and validation are different places.
    public static let superblock = 12
    /// Fewer superblocks than this are too few to give any away: each may hold the only example of its kind. Then squares of
    /// ``patch`` blocks are held out all over, which flatters validation but costs training little.
    public static let fewestSuperblocks = 100
    public static let patch = 2

    /// Puts about a tenth of the superblocks aside, but never so many that a class keeps under 80 % of its blocks: rare classes
    /// often sit in a single place.
    ///
    /// - Parameter seed: the same seed gives the same split.
    public init(_ grids: [BlockGrid], classes: Int, seed: UInt64) {
        struct Superblock: Hashable {
            let image: Int
            let column: Int
            let row: Int
        }
        func superblocks(of width: Int) -> Set<Superblock> {
            Set(
                grids.enumerated().flatMap { index, grid in
                    grid.known.map {
                        Superblock(image: index, column: $0.position.column / width, row: $0.position.row / width)
                    }
                })
        }
        let isFew = superblocks(of: BlockSplit.superblock).count < BlockSplit.fewestSuperblocks
        let width = isFew ? BlockSplit.patch : BlockSplit.superblock
        var blocks: [Superblock: [(Place, Int)]] = [:]
        var order: [Superblock] = []
        var total = [Int](repeating: 0, count: classes)
        for (index, grid) in grids.enumerated() {
            for (position, known) in grid.known {
                let block = Superblock(image: index, column: position.column / width, row: position.row / width)
                if blocks[block] == nil { order.append(block) }
                blocks[block, default: []].append((Place(image: index, position: position), known))
                total[known] += 1
            }
        }
        var generator = SeededGenerator(seed: seed, stream: .max)
        order.shuffle(using: &generator)
        var training = [[Place]](repeating: [], count: classes)
        var validation = training
        var taken = [Int](repeating: 0, count: classes)
        let wanted = total.reduce(0, +) / 10
        for block in order {
            let members = blocks[block] ?? []
            var after = taken
            for (_, known) in members { after[known] += 1 }
            let isFree = zip(after, total).allSatisfy { Double($0) <= 0.2 * Double($1) }
            let isNeeded = taken.reduce(0, +) + members.count <= wanted
            if isFree && isNeeded { taken = after }
            for (place, known) in members {
                if isFree && isNeeded { validation[known].append(place) } else { training[known].append(place) }
            }
        }
        self.training = training
        self.validation = validation
        heldOut = Set(validation.joined())
        self.seed = seed
    }

    public func isHeldOut(_ place: Place) -> Bool { heldOut.contains(place) }

    /// All blocks of each class, held out or not.
    public var countPerClass: [Int] { zip(training, validation).map { $0.count + $1.count } }

    /// A block to train on: first a class, with a probability in proportion to a power of its frequency, then one of its blocks.
    ///
    /// - Parameter frequencyExponent: 0 for all classes alike, 1 for all blocks alike.
    public func draw(frequencyExponent: Double, using generator: inout SeededGenerator) -> Place {
        let known = drawClass(frequencyExponent, using: &generator)
        return training[known][Int.random(in: 0..<training[known].count, using: &generator)]
    }

    private func drawClass(_ exponent: Double, using generator: inout SeededGenerator) -> Int {
        let weights = training.map { $0.isEmpty ? 0 : pow(Double($0.count), exponent) }
        var rest = Double.random(in: 0..<weights.reduce(0, +), using: &generator)
        for (index, weight) in weights.enumerated() where weight > 0 {
            rest -= weight
            if rest < 0 { return index }
        }
        return weights.lastIndex { $0 > 0 } ?? 0
    }

    /// Held-out blocks by class, at most so many of each, always the same.
    public func validationPlaces(most: Int) -> [[Place]] {
        var generator = SeededGenerator(seed: seed, stream: .max - 1)
        return validation.map { Array($0.shuffled(using: &generator).prefix(most)) }
    }

    /// Blocks of every class for a threshold, always the same: held-out ones, made up with others, since the rare classes hold
    /// most of what is sought, and few of their blocks are held out.
    public func calibrationPlaces(most: Int) -> [[Place]] {
        var generator = SeededGenerator(seed: seed, stream: .max - 2)
        return zip(validation, training).map { held, others in
            let first = held.shuffled(using: &generator).prefix(most)
            return Array(first + others.shuffled(using: &generator).prefix(most - first.count))
        }
    }

    /// Whether a block's fine labels are used: a share of the blocks, drawn once by the seed.
    public func isLabelled(_ place: Place, fraction: Double) -> Bool {
        guard fraction < 1 else { return true }
        let stream = UInt64(place.image) << 48 | UInt64(place.position.row) << 24 | UInt64(place.position.column)
        var generator = SeededGenerator(seed: seed ^ 0x6669_6e65, stream: stream)
        return Double.random(in: 0..<1, using: &generator) < fraction
    }

    /// A few blocks for previews, from the lowest class that there is to the highest: candidates of each, held-out ones where the
    /// class has any.
    public func previewPlaces(count: Int) -> [(coarseClass: Int, candidates: [Place])] {
        let pool = zip(validation, training).map { $0.isEmpty ? $1 : $0 }
        let occupied = pool.indices.filter { !pool[$0].isEmpty }
        return (0..<min(count, occupied.count)).map { index in
            let known = occupied[index * (occupied.count - 1) / max(1, min(count, occupied.count) - 1)]
            return (known, pool[known])
        }
    }
}

extension BlockLayout {
    /// The layout with the smallest margin of at least `leastMargin` px that makes the image a multiple of a pooling grid.
    public static func fitting(
        blocksPerSide: Int, blockSide: Int, multiple: Int, leastMargin: Int = BlockLayout.native.margin
    ) -> BlockLayout {
        var margin = leastMargin
        while (2 * margin + blocksPerSide * blockSide) % multiple != 0 { margin += 1 }
        return BlockLayout(margin: margin, blocksPerSide: blocksPerSide, blockSide: blockSide)
    }
}
