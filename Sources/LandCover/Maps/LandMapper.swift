public import BatchWork
internal import Failures
public import Foundation
public import GeoRaster
public import LabelSuperResolution
internal import Raster
internal import TiledPrediction
internal import Torch

/// A land-cover model that is ready to run.
public struct LandCoverModel: Sendable {
    public let url: URL
    public let network: any SegmentationNetwork
    public let description: LandCoverModelDescription
    /// Changes with the weights and the description.
    public let fingerprint: String

    public var settings: LandCoverModelSettings { description.settings }

    /// Whether a folder holds a land-cover model; its weights are not looked at.
    public static func isThere(_ folder: URL) -> Bool {
        (try? ModelFolder(folder).readDescription(LandCoverModelSettings.self)) != nil
    }

    /// - Throws: ``MethodError`` where the folder holds no such model.
    public init(_ url: URL, engine: InferenceEngine = .automatic) throws {
        self.url = url
        let folder = ModelFolder(url)
        (network, description) = try folder.load(LandCoverModelSettings.self, engine: engine)
        fingerprint = try folder.fingerprint()
    }
}

/// Reads tiles of an image for a network.
struct BandReader: RegionReader {
    /// Where the image has data.
    struct Detail: Sendable {
        let isData: [Bool]
    }

    let raster: GeoRaster
    let scaling: BandScaling

    var width: Int { raster.width }
    var height: Int { raster.height }
    var channels: Int { scaling.bands }

    func read(_ request: RegionRequest) throws(GeoRasterError) -> (values: [Float], detail: Detail) {
        let (seen, own) = (request.seen, request.own)
        let (values, isData) = try scaling.input(
            of: raster, x: seen.x, y: seen.y, width: seen.width, height: seen.height)
        var inside: [Bool] = []
        inside.reserveCapacity(own.width * own.height)
        for row in own.rows {
            let start = (row - seen.y) * seen.width + own.x - seen.x
            inside += isData[start..<(start + own.width)]
        }
        return (values, Detail(isData: inside))
    }
}

/// One tile row of a map.
private final class MapBand: TileBand {
    typealias Detail = BandReader.Detail

    /// What each pixel becomes.
    enum Content: Sendable {
        /// The code of the likeliest label.
        case codes([UInt8], weights: [Double]?)
        /// The probability of each label, 1 to 255; 0 is no data.
        case probabilities(labels: Int)

        var bands: Int {
            switch self {
            case .codes: 1
            case .probabilities(let labels): labels
            }
        }
    }

    private let width: Int
    private let y: Int
    private let content: Content
    /// Rows of the map; in each row band by band.
    let bytes: RowBytes

    init(width: Int, rows: Range<Int>, content: Content) {
        self.width = width
        y = rows.lowerBound
        self.content = content
        bytes = RowBytes(count: width * rows.count * content.bands)
    }

    func place(_ output: TileOutput<Detail>, at tile: TileGrid.Tile) {
        let data = output.detail.isData
        let bytes = bytes.buffer
        let bands = content.bands
        switch content {
        case .codes(let codes, let weights):
            let labels = output.likeliest(weights: weights).values
            for row in 0..<tile.height {
                let target = (tile.y - y + row) * width + tile.x
                for column in 0..<tile.width where data[row * tile.width + column] {
                    bytes[target + column] = codes[Int(labels[row * tile.width + column])]
                }
            }
        case .probabilities(let labels):
            for label in 0..<labels {
                let found = output.probabilities(of: label).values
                for row in 0..<tile.height {
                    let target = ((tile.y - y + row) * bands + label) * width + tile.x
                    for column in 0..<tile.width where data[row * tile.width + column] {
                        bytes[target + column] = UInt8(1 + (found[row * tile.width + column] * 254).rounded())
                    }
                }
            }
        }
    }

    func markUnreadable(_ tile: TileGrid.Tile) {}
}

/// Makes a map of an image: the likeliest label of each pixel, in the image's own pixels and CRS.
public struct LandMapper: Sendable {
    public let model: LandCoverModel
    /// A factor of each label's probability (the paper's class weights, Appendix E); nil for 1.
    public var weights: [Double]?
    /// Writes the probabilities of all labels instead.
    public var writesProbabilities = false
    public var tileSide = 512
    public var threads = 1
    public var stop = StopRequest()

    public init(model: LandCoverModel) {
        self.model = model
    }

    /// What became of an image.
    public struct Report: Sendable {
        public let pixels: Int
        /// Tiles that could not be read; they are no data in the map.
        public let unreadableTiles: Int
        public let wasStopped: Bool
        /// What speaks against the map, in a sentence.
        public let warning: String?
    }

    /// Maps an image; a run that was cut off goes on where it was.
    ///
    /// - Parameter progress: gets the share that is done.
    /// - Throws: ``GeoRasterError`` where the image cannot be read at all or the map not be written; ``InputError`` where the
    ///   model does not fit the image.
    public func map(_ image: URL, to output: URL, progress: (Double) -> Void = { _ in }) throws -> Report {
        let raster = try GeoRaster(image)
        let settings = model.settings
        try check(raster)
        let content: MapBand.Content =
            writesProbabilities
            ? .probabilities(labels: settings.labels.count)
            : .codes((0..<settings.labels.count).map(settings.labels.value(of:)), weights: weights)
        let attributes = try FileManager.default.attributesOfItem(atPath: image.path)
        let changed = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        let size = attributes[.size] as? Int ?? 0
        let kind = writesProbabilities ? "probabilities" : "codes \(weights.map { "\($0)" } ?? "")"
        // A place that is only half known is none.
        let placement = try? raster.placement()
        let writer = try GeoRasterWriter(
            output, width: raster.width, height: raster.height, bands: content.bands, placement: placement, noData: 0,
            table: settings.labels.codeTable,
            identity: "\(model.fingerprint) \(model.network.engineName) \(tileSide) \(kind) \(size) \(changed)")
        let grid = TileGrid(width: raster.width, height: raster.height, side: tileSide)
        let firstRow = writer.rows == raster.height ? grid.rows.count : writer.rows / tileSide
        writer.keep(rows: firstRow == grid.rows.count ? raster.height : firstRow * tileSide)
        let reader = BandReader(raster: raster, scaling: settings.scaling)
        let width = raster.width
        let pipeline = TilePipeline(
            grid: grid, predictor: TilePredictor(reader: reader, network: model.network), firstRow: firstRow,
            stop: stop,
            makeBand: { MapBand(width: width, rows: $0, content: content) }, finishedTile: {})
        pipeline.start(threads: max(1, threads))
        defer { pipeline.close() }
        var firstFailure: GeoRasterError?
        work: while true {
            switch try pipeline.next() {
            case .end: break work
            case .waiting: progress(Double(writer.rows) / Double(raster.height))
            case .row(let row):
                let failures = row.tiles.compactMap { tile -> GeoRasterError? in
                    if case .failure(let error) = tile.result { error } else { nil }
                }
                firstFailure = firstFailure ?? failures.first
                try writer.append(UnsafeBufferPointer(row.band.bytes.buffer), unreadable: failures.count)
                progress(Double(writer.rows) / Double(raster.height))
            }
        }
        guard writer.rows == raster.height else {
            return Report(pixels: 0, unreadableTiles: writer.unreadableTiles, wasStopped: true, warning: nil)
        }
        let unreadable = writer.unreadableTiles
        if unreadable >= grid.tileCount {
            // A map without anything must not be what the next run goes on with.
            writer.discard()
            throw firstFailure ?? GeoRasterError(.unreadable, "no part of raster \(image.path) can be read")
        }
        try writer.finish()
        return Report(
            pixels: raster.width * raster.height, unreadableTiles: unreadable, wasStopped: false,
            warning: scaleWarning(raster))
    }

    /// - Throws: ``InputError`` where the image lacks bands.
    func check(_ raster: GeoRaster) throws(InputError) {
        let needed = model.settings.scaling.bands
        guard raster.bands >= needed else {
            throw InputError(
                .model,
                "image \(raster.url.path) has \(raster.bands) bands, the model \(model.url.path) needs \(needed)")
        }
    }

    /// Sizes of pixels further apart than this are not those that the network learnt.
    private static let likeSize = 1.5

    /// What speaks against a map of an image whose pixels have another size than those that the network learnt; nil for nothing.
    public func scaleWarning(_ raster: GeoRaster) -> String? {
        guard let learnt = model.settings.pixelSize, let own = raster.transform?.pixelSize.width,
            max(own / learnt, learnt / own) > LandMapper.likeSize
        else { return nil }
        return
            "\(raster.url.path) has pixels of \(own), the model learnt from pixels of \(learnt): resample the image first, or do not trust the map"
    }
}
