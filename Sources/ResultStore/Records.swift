public import Foundation

/// A slide as the store keeps it.
public struct SlideRecord: Sendable {
    /// Name by which people refer to it, composed.
    public var name: String
    public var path: String
    /// Of its content: slides of one name are told apart by it.
    public var identity: String
    public var vendor: String
    /// Level-0 pixels.
    public var width: Int
    public var height: Int
    /// µm per level-0 pixel.
    public var micronsPerPixel: Double
    /// Where the scale comes from: properties, resolution-tags or given.
    public var scaleSource: String
    public var tissueSquareMillimeters: Double
    /// Corner of the scanned area, from which QuPath counts, level-0 px.
    public var boundsX: Double
    public var boundsY: Double

    public init(
        name: String, path: String, identity: String = "", vendor: String, width: Int, height: Int,
        micronsPerPixel: Double,
        scaleSource: String, tissueSquareMillimeters: Double, boundsX: Double = 0, boundsY: Double = 0
    ) {
        self.name = name
        self.path = path
        self.identity = identity
        self.vendor = vendor
        self.width = width
        self.height = height
        self.micronsPerPixel = micronsPerPixel
        self.scaleSource = scaleSource
        self.tissueSquareMillimeters = tissueSquareMillimeters
        self.boundsX = boundsX
        self.boundsY = boundsY
    }
}

/// A model as the store keeps it.
public struct ModelRecord: Sendable {
    /// Changes with weights and description.
    public var fingerprint: String
    public var name: String
    public var path: String
    public var micronsPerPixel: Double
    /// The text of `model.json`.
    public var description: String

    public init(fingerprint: String, name: String, path: String, micronsPerPixel: Double, description: String) {
        self.fingerprint = fingerprint
        self.name = name
        self.path = path
        self.micronsPerPixel = micronsPerPixel
        self.description = description
    }
}

/// How a run cuts a slide and what it calls a cell. Two runs with equal settings give equal cells.
public struct RunSettings: Sendable {
    /// Every setting as text; part of a run's identity.
    public var text: String
    /// Level-0 pixels per working pixel.
    public var level0PerPixel: Double
    public var threshold: Double
    /// Working pixels.
    public var tileSide: Int
    public var tileRows: Int
    public var programVersion: String
    /// What computed the probabilities: oneDNN in fp32 or int8, or libtorch.
    public var engine: String

    public init(
        text: String, level0PerPixel: Double, threshold: Double, tileSide: Int, tileRows: Int, programVersion: String,
        engine: String = ""
    ) {
        self.text = text
        self.level0PerPixel = level0PerPixel
        self.threshold = threshold
        self.tileSide = tileSide
        self.tileRows = tileRows
        self.programVersion = programVersion
        self.engine = engine
    }
}

/// Where on its slide a run looks: squares of working pixels, row by row from the slide's corner.
public struct GroundRecord: Sendable, Equatable {
    /// The side of a square, working pixels.
    public var side: Int
    public var columns: Int
    public var rows: Int
    /// Whether the tissue was found by itself.
    public var isFound: Bool
    /// A byte a square: bit 0 where it holds tissue, bit 1 where it is looked at.
    public var squares: Data

    public init(side: Int, columns: Int, rows: Int, isFound: Bool, squares: Data) {
        self.side = side
        self.columns = columns
        self.rows = rows
        self.isFound = isFound
        self.squares = squares
    }
}

/// A run to go on with, or to leave alone.
public struct RunState: Sendable {
    public let id: Int64
    /// Whether the slide has been segmented to its end with these settings.
    public let isDone: Bool
    public let nextTileRow: Int
    /// The components that were open after the last finished tile row.
    public let frontier: Data?
}

/// A tile that has been worked on.
public struct TileRecord: Sendable {
    public var row: Int
    public var column: Int
    /// Level-0 pixels.
    public var level0X: Double
    public var level0Y: Double
    public var level0Width: Double
    public var level0Height: Double
    /// Why the tile could not be read; nil where it could.
    public var failure: String?
    public var meanProbability: Double?
    public var tissueSquareMillimeters: Double?
    /// Shares of pen and of folded tissue, and how sharp the tissue is; nil where it was not seen.
    public var pen: Double?
    public var fold: Double?
    public var sharpness: Double?
    /// `pen`, `fold` or `blur` where the tile as a whole shows it; densities go by ``QualityRecord``.
    public var flag: String?

    public init(
        row: Int, column: Int, level0X: Double, level0Y: Double, level0Width: Double, level0Height: Double,
        failure: String?, meanProbability: Double?, tissueSquareMillimeters: Double? = nil, pen: Double? = nil,
        fold: Double? = nil, sharpness: Double? = nil, flag: String? = nil
    ) {
        self.row = row
        self.column = column
        self.level0X = level0X
        self.level0Y = level0Y
        self.level0Width = level0Width
        self.level0Height = level0Height
        self.failure = failure
        self.meanProbability = meanProbability
        self.tissueSquareMillimeters = tissueSquareMillimeters
        self.pen = pen
        self.fold = fold
        self.sharpness = sharpness
        self.flag = flag
    }
}

/// What is added to a square in which quality is judged: counts of samples and sums over them.
public struct QualityRecord: Sendable, Equatable {
    /// Place in the grid of squares that begins at the slide's corner.
    public var row: Int
    public var column: Int
    /// Sampled pixels, those of tissue and those of ink.
    public var samples = 0
    public var tissue = 0
    public var pen = 0
    /// Blocks of 16 µm, and those so dark that tissue lies on itself.
    public var blocks = 0
    public var darkBlocks = 0
    /// Over the samples of tissue: differences to the neighbours, the grey value (sum of the channels) and its square.
    public var contrast = 0.0
    public var greySum = 0.0
    public var greySquare = 0.0
    public var tissueSquareMillimeters = 0.0
    /// Cells whose centroid lies in the square.
    public var cells = 0
    public var cellAreaSquareMicrons = 0.0

    public init(row: Int, column: Int) {
        self.row = row
        self.column = column
    }
}

/// A coarse region with what its class leads to expect.
public struct RegionRecord: Sendable {
    public var level0X: Double
    public var level0Y: Double
    public var level0Side: Double
    public var probability: Double
    public var coarseClass: Int
    public var priorMean: Double
    public var priorDeviation: Double

    public init(
        level0X: Double, level0Y: Double, level0Side: Double, probability: Double, coarseClass: Int,
        priorMean: Double, priorDeviation: Double
    ) {
        self.level0X = level0X
        self.level0Y = level0Y
        self.level0Side = level0Side
        self.probability = probability
        self.coarseClass = coarseClass
        self.priorMean = priorMean
        self.priorDeviation = priorDeviation
    }
}

/// What a tile row adds to a region.
public struct RegionSum: Sendable {
    public var ordinal: Int
    public var pixels: Int
    public var probabilitySum: Double

    public init(ordinal: Int, pixels: Int, probabilitySum: Double) {
        self.ordinal = ordinal
        self.pixels = pixels
        self.probabilitySum = probabilitySum
    }
}

/// An outlined cell.
public struct CellRecord: Sendable, Equatable {
    /// Level-0 pixels.
    public var centroidX: Double
    public var centroidY: Double
    public var areaSquareMicrons: Double
    public var perimeterMicrons: Double
    /// 4π · area / perimeter²
    public var circularity: Double
    public var meanProbability: Double
    public var meanHematoxylin: Double
    /// Level-0 bounds: min x, max x, min y, max y.
    public var bounds: (Double, Double, Double, Double)
    /// Well-known binary, level-0 pixels.
    public var polygon: [UInt8]
    /// Top left corner and size of the mask, working pixels.
    public var maskX: Int
    public var maskY: Int
    public var maskWidth: Int
    public var maskHeight: Int
    /// COCO's compressed run lengths.
    public var mask: [UInt8]

    public init(
        centroidX: Double, centroidY: Double, areaSquareMicrons: Double, perimeterMicrons: Double, circularity: Double,
        meanProbability: Double, meanHematoxylin: Double, bounds: (Double, Double, Double, Double), polygon: [UInt8],
        maskX: Int, maskY: Int, maskWidth: Int, maskHeight: Int, mask: [UInt8]
    ) {
        self.centroidX = centroidX
        self.centroidY = centroidY
        self.areaSquareMicrons = areaSquareMicrons
        self.perimeterMicrons = perimeterMicrons
        self.circularity = circularity
        self.meanProbability = meanProbability
        self.meanHematoxylin = meanHematoxylin
        self.bounds = bounds
        self.polygon = polygon
        self.maskX = maskX
        self.maskY = maskY
        self.maskWidth = maskWidth
        self.maskHeight = maskHeight
        self.mask = mask
    }

    public static func == (a: CellRecord, b: CellRecord) -> Bool {
        a.centroidX == b.centroidX && a.centroidY == b.centroidY && a.polygon == b.polygon && a.mask == b.mask
            && a.maskX == b.maskX && a.maskY == b.maskY && a.meanProbability == b.meanProbability
            && a.meanHematoxylin == b.meanHematoxylin
    }
}

/// A patch with its score.
public struct PatchScoreRecord: Sendable {
    public var file: String
    public var label: String
    public var isLymphocyte: Bool
    public var logOdds: Double
    public var darkness: Double

    public init(file: String, label: String, isLymphocyte: Bool, logOdds: Double, darkness: Double) {
        self.file = file
        self.label = label
        self.isLymphocyte = isLymphocyte
        self.logOdds = logOdds
        self.darkness = darkness
    }
}

/// An AUC with its 95 % interval.
public struct AUCRecord: Sendable {
    public var value: Double
    public var lower: Double
    public var upper: Double

    public init(value: Double, lower: Double, upper: Double) {
        self.value = value
        self.lower = lower
        self.upper = upper
    }
}

/// How found cells compare with true ones on one slide.
public struct CellEvaluationRecord: Sendable {
    public var truth: String
    public var withinMicrons: Double
    public var trueCells: Int
    public var foundCells: Int
    public var matched: Int
    public var precision: Double
    public var recall: Double
    public var f1: Double

    public init(
        truth: String, withinMicrons: Double, trueCells: Int, foundCells: Int, matched: Int, precision: Double,
        recall: Double, f1: Double
    ) {
        self.truth = truth
        self.withinMicrons = withinMicrons
        self.trueCells = trueCells
        self.foundCells = foundCells
        self.matched = matched
        self.precision = precision
        self.recall = recall
        self.f1 = f1
    }
}
