/// Images of one size as a network wants them.
public struct ImageBatch: Sendable {
    public let count: Int
    public let channels: Int
    public let height: Int
    public let width: Int
    /// `NCHW`.
    public let values: [Float]

    public init(count: Int, channels: Int, height: Int, width: Int, values: [Float]) {
        precondition(values.count == count * channels * height * width, "a batch is count × channels × height × width")
        self.count = count
        self.channels = channels
        self.height = height
        self.width = width
        self.values = values
    }
}

/// An inference engine with a trained network: images in, scores of all labels out. Callers never see a tensor.
public protocol SegmentationNetwork: Sendable {
    /// How many labels it tells apart, two at least.
    var labels: Int { get }
    /// Image sides must be multiples of this, and tiles begin on multiples of it.
    var gridMultiple: Int { get }
    /// Pixels around a tile that may change its output, a multiple of the grid.
    var halo: Int { get }

    /// What computes, and how exactly: `onednn-fp32`, `onednn-int8`, `libtorch`. Results of different engines differ in their
    /// last digits.
    var engineName: String { get }

    /// How likely each label is at each pixel.
    ///
    /// Each image's result is independent of the others in the batch. Logarithms rather than probabilities, which saturate:
    /// ties cost AUC. Height and width must be multiples of ``gridMultiple``.
    func scores(_ batch: ImageBatch) throws -> LabelScores
}

extension SegmentationNetwork {
    /// log p/(1 − p) of the last label against all others at every pixel, image by image and row by row.
    public func logOdds(_ batch: ImageBatch) throws -> [Float] { try scores(batch).logOdds }
}
