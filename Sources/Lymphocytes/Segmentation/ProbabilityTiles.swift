internal import LabelSuperResolution
public import Raster
public import WholeSlide

/// The network's output for the tiles of a slide, each computed with enough of its surroundings that joined tiles equal
/// one pass over the whole slide.
public struct ProbabilityTiles: Sendable {
    let reader: WorkingReader
    let model: SegmentationModel
    let clock: StageClock?

    public init(reader: WorkingReader, model: SegmentationModel) {
        self.init(reader: reader, model: model, clock: nil)
    }

    init(reader: WorkingReader, model: SegmentationModel, clock: StageClock?) {
        self.reader = reader
        self.model = model
        self.clock = clock
    }

    /// A tile's own part, without the halo.
    public struct Output: Sendable {
        public let logOdds: Plane<Float>
        public let hematoxylin: Plane<Float>
        let quality: TileQuality
    }

    /// Computes a tile; its origin must be a multiple of the pooling grid.
    ///
    /// - Throws: ``SlideError`` where its pixels cannot be read.
    public func output(of tile: TileGrid.Tile) throws -> Output {
        let clock = clock ?? StageClock()
        let halo = model.network.halo
        let multiple = model.network.gridMultiple
        // Tiles at the right and lower edge are made up to the grid with what lies beyond: white.
        let width = (tile.width + multiple - 1) / multiple * multiple + 2 * halo
        let height = (tile.height + multiple - 1) / multiple * multiple + 2 * halo
        let image = try clock.time(.read) { () throws(SlideError) in
            try reader.read(x: tile.x - halo, y: tile.y - halo, width: width, height: height)
        }
        let (values, quality) = clock.time(.encode) {
            var values: [Float] = []
            model.encoding.append(image, to: &values)
            let own = image.cropped(x: halo, y: halo, width: tile.width, height: tile.height)
            return (values, TileQuality(own, micronsPerPixel: reader.frame.micronsPerPixel))
        }
        let logOdds = try clock.time(.infer) { () throws(any Error) in
            try model.network.logOdds(
                ImageBatch(count: 1, channels: model.encoding.channels, height: height, width: width, values: values))
        }
        return Output(
            logOdds: Plane(width: width, height: height, values: logOdds)
                .cropped(x: halo, y: halo, width: tile.width, height: tile.height),
            hematoxylin: model.encoding.hematoxylin(
                in: values, width: width, height: height, x: halo, y: halo, ownWidth: tile.width,
                ownHeight: tile.height), quality: quality)
    }
}
