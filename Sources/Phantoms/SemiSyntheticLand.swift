internal import BatchWork
internal import Failures
public import Foundation
internal import GeoRaster
internal import LabelSuperResolution
internal import LandCover

/// Land whose shapes are real and whose look is put together: true labels of 1 m, each filled with pieces of real aerial images of
/// that label, and NLCD's classes by its own rules from what each cell holds, with errors.
///
/// It stands in where no image of developed land has true labels. Two *states* differ in light and season. What it cannot show: how roofs differ from
/// lawns in towns, since all impervious ground is pieces of the same few roads; shadows; what grows where.
public struct SemiSyntheticLand: Sendable {
    /// Light and season of an image: value · gain + offset, band by band, and what fields lose of their green.
    public struct State: Sendable {
        public let name: String
        let gains: [Float]
        let offsets: [Float]
        /// Added to fields: red, green, blue, near infrared.
        let fields: [Float]
        /// Added to forest.
        let forests: [Float]
    }

    /// What a piece of land is for.
    public enum Role: String, Sendable, CaseIterable {
        case training
        case test
    }

    /// The piece's name: of the state, the role and the number, such as `one-training-1`.
    public static func name(state: String, role: Role, number: Int) -> String { "\(state)-\(role.rawValue)-\(number)" }

    public static let states = [
        State(
            name: "one", gains: [1, 1, 1, 1], offsets: [0, 0, 0, 0], fields: [0, 0, 0, 0], forests: [0, 0, 0, 0]),
        State(
            name: "two", gains: [1.12, 1.02, 0.9, 0.85], offsets: [6, 4, 14, 10], fields: [22, 8, 4, -26],
            forests: [10, 2, 0, -14]),
    ]
    /// Pieces of each state and role.
    public static let pieces = 4
    /// The side of a piece, px.
    public static let side = 600

    /// A raster of the Chesapeake Conservancy's 13 classes.
    public let geometry: URL
    /// A folder with `naip/` and `landcover/`: images of four bands, and their labels 1 to 4.
    public let textures: URL
    /// An image with water, known by its NDWI: the tiles have none.
    public let water: URL
    public let seed: UInt64

    public init(geometry: URL, textures: URL, water: URL, seed: UInt64) {
        self.geometry = geometry
        self.textures = textures
        self.water = water
        self.seed = seed
    }

    /// Writes `images/`, `fine/` and `coarse/`.
    ///
    /// - Throws: ``GeoRasterError`` where a raster cannot be read; ``InputError`` where one does not hold enough.
    public func write(to folder: URL, progress: (Int) -> Void = { _ in }) throws {
        let labels = try GeoRaster(geometry)
        let pieces = try chosenPieces(labels)
        let swatches = try Swatches(textures: textures, water: water)
        let writer = try LandSceneWriter(folder: folder)
        var generator = SeededGenerator(seed: seed)
        for (rank, corner) in pieces.enumerated() {
            // The most developed pieces go round, so that each state and role has its share of them.
            let state = SemiSyntheticLand.states[rank % 2]
            let role = rank / 2 % 2 == 0 ? Role.training : .test
            let scene = try PatchedLand(
                labels, corner: corner, swatches: swatches, state: state,
                seed: SeededGenerator.draw(seed: seed, stream: UInt64(rank)))
            let shift = (
                Double.random(in: -8...8, using: &generator), Double.random(in: -8...8, using: &generator)
            )
            try writer.write(
                scene, name: SemiSyntheticLand.name(state: state.name, role: role, number: rank / 4 + 1), place: rank,
                width: SemiSyntheticLand.side, height: SemiSyntheticLand.side,
                flaws: LandSceneWriter.Flaws(shift: shift, errors: 0.06, seed: generator.next()))
            progress(rank + 1)
        }
    }

    /// Upper left corners of the pieces with the most developed cells, which do not overlap; the most developed first.
    private func chosenPieces(_ labels: GeoRaster) throws -> [(x: Int, y: Int)] {
        let cell = 30
        let (columns, rows) = (labels.width / cell, labels.height / cell)
        // Cells with 5 % of impervious ground or more, summed from the upper left corner.
        var sums = [Int](repeating: 0, count: (columns + 1) * (rows + 1))
        for row in 0..<rows {
            let values = try labels.values(
                band: 0, in: GeoRaster.Window(column: 0, row: row * cell, width: columns * cell, height: cell))
            var paved = [Int](repeating: 0, count: columns)
            var known = [Int](repeating: 0, count: columns)
            for (i, value) in values.enumerated() {
                guard let label = ChesapeakeClasses.label(value) else { continue }
                known[i % (columns * cell) / cell] += 1
                if label == 3 { paved[i % (columns * cell) / cell] += 1 }
            }
            var line = 0
            for column in 0..<columns {
                if known[column] * 2 >= cell * cell, paved[column] * 20 >= known[column] { line += 1 }
                sums[(row + 1) * (columns + 1) + column + 1] = sums[row * (columns + 1) + column + 1] + line
            }
        }
        let side = SemiSyntheticLand.side / cell
        var candidates: [(count: Int, x: Int, y: Int)] = []
        for row in 0...max(0, rows - side) where rows >= side {
            for column in 0...max(0, columns - side) where columns >= side {
                func sum(_ x: Int, _ y: Int) -> Int { sums[y * (columns + 1) + x] }
                let count =
                    sum(column + side, row + side) - sum(column, row + side) - sum(column + side, row)
                    + sum(column, row)
                candidates.append((count, column, row))
            }
        }
        candidates.sort { ($1.count, $0.y, $0.x) < ($0.count, $1.y, $1.x) }
        var taken: [(x: Int, y: Int)] = []
        let wanted = SemiSyntheticLand.pieces * SemiSyntheticLand.states.count * Role.allCases.count
        for candidate in candidates where taken.count < wanted && candidate.count > 0 {
            if taken.allSatisfy({ abs($0.x - candidate.x) >= side || abs($0.y - candidate.y) >= side }) {
                taken.append((candidate.x, candidate.y))
            }
        }
        guard taken.count == wanted else {
            throw InputError(
                .unusable, "\(geometry.path) holds \(taken.count) pieces of developed land, \(wanted) are needed")
        }
        return taken.map { ($0.x * cell, $0.y * cell) }
    }
}

/// The Chesapeake Conservancy's classes as four labels.
private enum ChesapeakeClasses {
    /// 0 water, 1 forest (trees, over roads and roofs too), 2 field (wetland, shrubs, low plants, bare ground), 3 impervious.
    static func label(_ value: Float) -> Int? {
        switch value {
        case 1: 0
        case 3, 10, 11, 12: 1
        case 2, 4, 5, 6: 2
        case 7, 8, 9: 3
        default: nil
        }
    }
}

/// Square pieces of real images that hold one label each.
private struct Swatches: Sendable {
    /// The side of a label's piece: roads are narrow, and water is known at 5 m only.
    static let sides = [8, 16, 16, 4]
    /// By label: pieces of `side² × 4` bytes, pixel by pixel.
    let pieces: [[[UInt8]]]

    /// More pieces of a label than this tell nothing new.
    private static let most = 4000

    init(textures: URL, water: URL) throws {
        var found = [[[UInt8]]](repeating: [], count: 4)
        let images = try RasterFolder(textures.appendingPathComponent("naip"))
        let labels = try RasterFolder(textures.appendingPathComponent("landcover"))
        for file in images.files {
            let image = try GeoRaster(file)
            let own = try GeoRaster(labels.partner(of: RasterFolder.stem(file)))
            let whole = GeoRaster.Window(column: 0, row: 0, width: image.width, height: image.height)
            let codes = try own.values(band: 0, in: whole)
            let bands = try (0..<4).map { try image.values(band: $0, in: whole) }
            for label in 1..<4 {
                Swatches.collect(label, width: image.width, height: image.height, bands: bands, into: &found[label]) {
                    codes[$0] == Float(label + 1)
                }
            }
        }
        let image = try GeoRaster(water)
        let whole = GeoRaster.Window(column: 0, row: 0, width: image.width, height: image.height)
        let bands = try (0..<4).map { try image.values(band: $0, in: whole) }
        Swatches.collect(0, width: image.width, height: image.height, bands: bands, into: &found[0]) {
            let (green, infrared) = (bands[1][$0], bands[3][$0])
            return green > 0 && (green - infrared) / (green + infrared) > 0.1
        }
        if let label = found.firstIndex(where: { $0.isEmpty }) {
            throw InputError(
                .unusable,
                "\(textures.path) and \(water.path) hold no piece of \(LandClasses.fourLabels.names[label])")
        }
        pieces = found.map { all in
            let step = max(1, all.count / Swatches.most)
            return stride(from: 0, to: all.count, by: step).map { all[$0] }
        }
    }

    /// Adds the pieces, at every half of a side, that hold nothing but a label.
    private static func collect(
        _ label: Int, width: Int, height: Int, bands: [[Float]], into found: inout [[UInt8]],
        isLabel: (Int) -> Bool
    ) {
        let side = sides[label]
        for y in stride(from: 0, through: height - side, by: max(1, side / 2)) {
            next: for x in stride(from: 0, through: width - side, by: max(1, side / 2)) {
                for i in 0..<side * side where !isLabel((y + i / side) * width + x + i % side) { continue next }
                var piece = [UInt8]()
                piece.reserveCapacity(4 * side * side)
                for i in 0..<side * side {
                    for band in bands { piece.append(UInt8(band[(y + i / side) * width + x + i % side])) }
                }
                found.append(piece)
            }
        }
    }
}

/// Real labels filled with swatches.
private struct PatchedLand: LandScene {
    /// Cells at the edge reach out of the image by less than this.
    private static let margin = 64
    private let labels: [Int8]
    private let width: Int
    private let swatches: Swatches
    private let state: SemiSyntheticLand.State
    private let seed: UInt64
    private let kinds: LatticeNoise

    init(
        _ raster: GeoRaster, corner: (x: Int, y: Int), swatches: Swatches, state: SemiSyntheticLand.State, seed: UInt64
    ) throws {
        let margin = PatchedLand.margin
        let side = SemiSyntheticLand.side + 2 * margin
        width = side
        var labels = [Int8](repeating: -1, count: side * side)
        let (left, top) = (max(0, corner.x - margin), max(0, corner.y - margin))
        let (right, bottom) = (
            min(raster.width, corner.x - margin + side), min(raster.height, corner.y - margin + side)
        )
        let window = GeoRaster.Window(column: left, row: top, width: right - left, height: bottom - top)
        let values = try raster.values(band: 0, in: window)
        for (i, value) in values.enumerated() {
            let x = left + i % window.width - corner.x + margin
            let y = top + i / window.width - corner.y + margin
            labels[y * side + x] = Int8(ChesapeakeClasses.label(value) ?? -1)
        }
        self.labels = labels
        self.swatches = swatches
        self.state = state
        self.seed = seed
        kinds = LatticeNoise(seed: SeededGenerator.draw(seed: seed, stream: 1))
    }

    func label(x: Int, y: Int) -> Int? {
        let (column, row) = (x + PatchedLand.margin, y + PatchedLand.margin)
        guard column >= 0, row >= 0, column < width, row < width else { return nil }
        let label = Int(labels[row * width + column])
        return label < 0 ? nil : label
    }

    func pixel(label: Int, x: Int, y: Int) -> [UInt8] {
        let side = Swatches.sides[label]
        let all = swatches.pieces[label]
        // Each square of the land has a swatch of its own, turned at random.
        let draw = SeededGenerator.draw(
            seed: seed, stream: UInt64(label) << 48 ^ UInt64(x / side) << 24 ^ UInt64(y / side))
        let piece = all[Int(draw % UInt64(all.count))]
        var (column, row) = (x % side, y % side)
        if draw & 1 << 60 != 0 { column = side - 1 - column }
        if draw & 1 << 61 != 0 { row = side - 1 - row }
        if draw & 1 << 62 != 0 { swap(&column, &row) }
        let season: [Float] = label == 1 ? state.forests : label == 2 ? state.fields : [0, 0, 0, 0]
        return (0..<4).map { band in
            let value = Float(piece[(row * side + column) * 4 + band]) + season[band]
            return UInt8(max(1, min(255, value * state.gains[band] + state.offsets[band])))
        }
    }

    /// NLCD's rules: developed classes by their share of impervious ground, water from three quarters, forest from half; which forest
    /// and which field is a matter of the place.
    func code(_ shares: [Double], x: Double, y: Double) -> UInt8 {
        let kind = kinds.fractal(Float(x) / 150, Float(y) / 150)
        switch shares[3] {
        case 0.8...: return 24
        case 0.5...: return 23
        case 0.2...: return 22
        case 0.05...: return 21
        default: break
        }
        if shares[0] >= 0.75 { return 11 }
        if shares[1] >= 0.6 { return kind < 0.4 ? 41 : kind < 0.6 ? 43 : 42 }
        if shares[0] >= 0.2 { return shares[1] >= 0.3 ? 90 : 95 }
        if shares[1] >= 0.3 { return 52 }
        return kind < 0.5 ? 81 : 82
    }
}
