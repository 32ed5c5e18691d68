public import Failures
public import Raster
public import TiledPrediction
public import WholeSlide

/// A slide as a lymphocyte network sees it.
public struct StainedRegionReader: RegionReader {
    /// What is kept of a tile beside what the network finds.
    public struct Detail: Sendable {
        /// Haematoxylin concentration of each pixel.
        public let hematoxylin: Plane<Float>
        let quality: TileQuality
    }

    private let reader: WorkingReader
    private let encoding: InputEncoding
    private let ground: Ground?
    private let clock: StageClock

    /// - Parameter ground: where quality is judged; nil for everywhere.
    public init(
        _ reader: WorkingReader, encoding: InputEncoding, ground: Ground? = nil, clock: StageClock = StageClock()
    ) {
        self.reader = reader
        self.ground = ground
        self.encoding = encoding
        self.clock = clock
    }

    public var width: Int { reader.frame.width }
    public var height: Int { reader.frame.height }
    public var channels: Int { encoding.channels }

    /// White lies beyond the slide.
    public func read(_ request: RegionRequest) throws(SlideError) -> (values: [Float], detail: Detail) {
        let (seen, own) = (request.seen, request.own)
        let image = try clock.time(.read) { () throws(SlideError) in
            try reader.read(x: seen.x, y: seen.y, width: seen.width, height: seen.height)
        }
        let (x, y) = (own.x - seen.x, own.y - seen.y)
        return clock.time(.encode) {
            var values: [Float] = []
            encoding.append(image, to: &values)
            let part = image.cropped(x: x, y: y, width: own.width, height: own.height)
            let hematoxylin = encoding.hematoxylin(
                in: values, width: seen.width, height: seen.height, x: x, y: y, ownWidth: own.width,
                ownHeight: own.height)
            return (
                values,
                Detail(
                    hematoxylin: hematoxylin,
                    quality: TileQuality(
                        part, x: own.x, y: own.y, micronsPerPixel: reader.frame.micronsPerPixel, ground: ground))
            )
        }
    }
}

extension StageClock.Stage {
    static let tissue = StageClock.Stage("tissue")
    static let components = StageClock.Stage("components")
    static let cells = StageClock.Stage("cells")
    static let store = StageClock.Stage("store")

    /// In the order in which a tile passes through them.
    static let segmentation = [tissue, read, encode, infer, place, components, cells, store]
}

extension TilePredictor where Reader == StainedRegionReader {
    /// The tiles of a slide by a lymphocyte model.
    ///
    /// - Parameter ground: where quality is judged; nil for everywhere.
    public init(
        _ reader: WorkingReader, model: SegmentationModel, ground: Ground? = nil, clock: StageClock = StageClock()
    ) {
        self.init(
            reader: StainedRegionReader(reader, encoding: model.encoding, ground: ground, clock: clock),
            network: model.network,
            clock: clock)
    }
}

extension TileGrid {
    /// - Parameter tissue: where the tissue is; nil for all tiles.
    public init(frame: WorkingFrame, side: Int, tissue: TissueMask?) {
        self.init(width: frame.width, height: frame.height, side: side) { tile in
            guard let tissue else { return true }
            return tissue.tissueFraction(
                level0X: frame.level0(Double(tile.x)), level0Y: frame.level0(Double(tile.y)),
                width: frame.level0(Double(tile.width)), height: frame.level0(Double(tile.height))) > 0
        }
    }
}
