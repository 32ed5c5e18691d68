public import LabelSuperResolution
public import Raster

/// The network's output for the tiles of an image, each computed with enough of its surroundings that joined tiles equal one
/// pass over the whole image.
public struct TilePredictor<Reader: RegionReader>: Sendable {
    public let reader: Reader
    public let network: any SegmentationNetwork
    public let clock: StageClock

    public init(reader: Reader, network: any SegmentationNetwork, clock: StageClock = StageClock()) {
        self.reader = reader
        self.network = network
        self.clock = clock
    }

    /// A tile's own part, without the halo.
    ///
    /// - Parameter tile: its origin must be a multiple of the network's grid.
    /// - Throws: ``RegionReader/Failure`` where its pixels cannot be read, and what the network throws.
    public func output(of tile: TileGrid.Tile) throws -> TileOutput<Reader.Detail> {
        let halo = network.halo
        let seen = tile.region.surrounded(by: halo, multiple: network.gridMultiple)
        let (values, detail) = try reader.read(RegionRequest(seen: seen, own: tile.region))
        let scores = try clock.time(.infer) { () throws(any Error) in
            try network.scores(
                ImageBatch(
                    count: 1, channels: reader.channels, height: seen.height, width: seen.width, values: values))
        }
        return TileOutput(scores: scores, halo: halo, width: tile.width, height: tile.height, detail: detail)
    }
}

/// What came of a tile: the scores of its labels, and what its reader kept of its pixels.
public struct TileOutput<Detail: Sendable>: Sendable {
    private let scores: LabelScores
    private let halo: Int
    public let width: Int
    public let height: Int
    public let detail: Detail

    /// - Parameters:
    ///   - scores: of one image, with a halo around the tile's own part.
    ///   - width: of the tile's own part.
    public init(scores: LabelScores, halo: Int, width: Int, height: Int, detail: Detail) {
        self.scores = scores
        self.halo = halo
        self.width = width
        self.height = height
        self.detail = detail
    }

    /// log p/(1 − p) of the last label.
    public var logOdds: Plane<Float> { own(scores.logOdds) }

    /// The probability of a label.
    public func probabilities(of label: Int) -> Plane<Float> { own(scores.probabilities(of: label)) }

    /// The likeliest label of each pixel; see ``LabelScores/likeliest(weights:)``.
    public func likeliest(weights: [Double]? = nil) -> Plane<UInt8> { own(scores.likeliest(weights: weights)) }

    private func own<Value>(_ values: [Value]) -> Plane<Value> {
        Plane(width: scores.width, height: scores.height, values: values)
            .cropped(x: halo, y: halo, width: width, height: height)
    }
}
