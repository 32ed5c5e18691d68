/// How the blocks lie in a training image: a grid of squares inside a margin, the same in every image of a batch.
public struct BlockLayout: Codable, Equatable, Sendable {
    /// Pixels around the grid that give context only.
    public let margin: Int
    /// Blocks a row and a column of the grid.
    public let blocksPerSide: Int
    /// The side of a block in pixels.
    public let blockSide: Int

    public init(margin: Int, blocksPerSide: Int, blockSide: Int) {
        self.margin = margin
        self.blocksPerSide = blocksPerSide
        self.blockSide = blockSide
    }

    public var imageSide: Int { 2 * margin + blocksPerSide * blockSide }
    public var blocksPerImage: Int { blocksPerSide * blocksPerSide }

    /// 240 = 2·100 + 20 px on each side (paper Appendix A: patches of 240×240).
    public static let native = BlockLayout(margin: 20, blocksPerSide: 2, blockSide: 100)
    /// One block with the same margin, for validation.
    public static let single = BlockLayout(margin: 20, blocksPerSide: 1, blockSide: 100)
}

/// Images with the coarse labels of their blocks and what is known of single pixels.
public struct BlockBatch: Sendable {
    public let shapes: BlockShapes
    public let count: Int
    public let channels: Int
    /// Network input, `NCHW`.
    public let input: [Float]
    /// The coarse label of each block; of a grid image by image and row by row.
    public let blocks: [BlockLabel]
    /// What each block weighs in the loss; empty where all weigh the same.
    public let blockWeights: [Float]
    /// The label that something cheap, such as colour, gives each pixel, image by image; −1 where it gives none.
    public let hints: [Int8]
    /// The fine label of each pixel from masks, image by image; −1 where it is unknown. Empty where there are no masks.
    public let fineLabels: [Int8]
    /// What teachers see in place of `input`, laid out like it; empty where they see the same.
    public let teacherInput: [Float]
    /// What speaks for the last label at each pixel besides coarse labels, image by image, in units of the source's own;
    /// empty where nothing does.
    public let evidence: [Float]

    /// The side of an image in pixels.
    public var imageSide: Int { shapes.imageSide }

    /// A batch with a grid of blocks in each image.
    ///
    /// - Parameter hints: nil where there are none.
    public init(
        layout: BlockLayout, channels: Int, input: [Float], blocks: [BlockLabel], hints: [Int8]? = nil,
        fineLabels: [Int8] = [], teacherInput: [Float] = [], evidence: [Float] = []
    ) {
        self.init(
            shapes: .grid(layout), channels: channels, input: input, blocks: blocks, hints: hints,
            fineLabels: fineLabels, teacherInput: teacherInput, evidence: evidence)
    }

    /// - Parameter hints: nil where there are none.
    public init(
        shapes: BlockShapes, channels: Int, input: [Float], blocks: [BlockLabel], blockWeights: [Float] = [],
        hints: [Int8]? = nil, fineLabels: [Int8] = [], teacherInput: [Float] = [], evidence: [Float] = []
    ) {
        precondition(blockWeights.isEmpty || blockWeights.count == blocks.count, "each block has a weight")
        self.blockWeights = blockWeights
        count = shapes.imageCount(blocks: blocks.count)
        let pixels = shapes.imageSide * shapes.imageSide
        precondition(input.count == count * channels * pixels, "the input must be count × channels × side × side")
        let hints = hints ?? [Int8](repeating: -1, count: count * pixels)
        precondition(hints.count == count * pixels, "there is one hint a pixel")
        precondition(fineLabels.isEmpty || fineLabels.count == count * pixels, "there is one fine label a pixel")
        precondition(teacherInput.isEmpty || teacherInput.count == input.count, "teachers see as many pixels")
        precondition(evidence.isEmpty || evidence.count == count * pixels, "there is one piece of evidence a pixel")
        self.teacherInput = teacherInput
        self.evidence = evidence
        self.shapes = shapes
        self.channels = channels
        self.input = input
        self.blocks = blocks
        self.hints = hints
        self.fineLabels = fineLabels
    }
}

/// Where training images come from.
public protocol BlockSource: Sendable {
    /// Changes with the data: a checkpoint made from other data is not gone on from.
    var identity: String { get }

    /// The batch of one step. The same step and seed give the same batch, so that a resumed run sees what an
    /// uninterrupted one does.
    func batch(step: Int, count: Int, seed: UInt64) throws -> BlockBatch

    /// Held-out blocks for validation, in batches that are always the same.
    func validationBatches() throws -> [BlockBatch]
}
