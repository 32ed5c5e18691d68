/// Blocks that are any sets of pixels of a batch's images, as the cells of a coarse raster of another projection are.
public struct PixelSets: Equatable, Sendable {
    public let imageSide: Int
    /// The block of each pixel, image by image and row by row; −1 where it is of none.
    public let numbers: [Int32]
    /// N, pixels of each block.
    public let sizes: [Int]
    /// The pixels of each block as runs of places in ``numbers``.
    let runs: [[Range<Int>]]

    /// - Parameters:
    ///   - numbers: one for each pixel of images of side × side pixels, below `count`.
    ///   - count: how many blocks there are; one may have no pixel, and should then be unknown.
    public init(imageSide: Int, numbers: [Int32], count: Int) {
        precondition(numbers.count % (imageSide * imageSide) == 0, "there is a number for each pixel of whole images")
        var sizes = [Int](repeating: 0, count: count)
        var runs = [[Range<Int>]](repeating: [], count: count)
        var index = 0
        while index < numbers.count {
            let number = numbers[index]
            let start = index
            // A run ends with its row, so that it has one place in an image.
            let end = (index / imageSide + 1) * imageSide
            while index < end, numbers[index] == number { index += 1 }
            guard number >= 0 else { continue }
            precondition(Int(number) < count, "there are \(count) blocks")
            sizes[Int(number)] += index - start
            runs[Int(number)].append(start..<index)
        }
        self.imageSide = imageSide
        self.numbers = numbers
        self.sizes = sizes
        self.runs = runs
    }
}

/// The pixels of each block of a batch of square images.
public enum BlockShapes: Equatable, Sendable {
    /// Squares in a grid, the same in every image.
    case grid(BlockLayout)
    /// Sets of pixels, which differ from image to image.
    case sets(PixelSets)

    public var imageSide: Int {
        switch self {
        case .grid(let layout): layout.imageSide
        case .sets(let sets): sets.imageSide
        }
    }

    /// How many images there are.
    ///
    /// - Parameter blocks: of all images together.
    func imageCount(blocks: Int) -> Int {
        switch self {
        case .grid(let layout): blocks / layout.blocksPerImage
        case .sets(let sets): sets.numbers.count / (sets.imageSide * sets.imageSide)
        }
    }

    /// N, the pixels of a block.
    public func size(of block: Int) -> Int {
        switch self {
        case .grid(let layout): layout.blockSide * layout.blockSide
        case .sets(let sets): sets.sizes[block]
        }
    }

    /// The pixels of a block: runs of places in the images' pixels, image by image and row by row.
    public func runs(of block: Int) -> [Range<Int>] {
        switch self {
        case .grid(let layout):
            let (side, n) = (layout.imageSide, layout.blocksPerSide)
            let (image, own) = (block / layout.blocksPerImage, block % layout.blocksPerImage)
            let left = layout.margin + own % n * layout.blockSide
            let top = layout.margin + own / n * layout.blockSide
            return (top..<(top + layout.blockSide)).map { y in
                let start = (image * side + y) * side + left
                return start..<(start + layout.blockSide)
            }
        case .sets(let sets): return sets.runs[block]
        }
    }
}
