/// A square of a slide in which a reader has counted lymphocytes: a coarse label whose count is known, not only its class.
public struct CountedSquare: Codable, Equatable, Sendable {
    /// The slide's name, or its path within the folder where several share a name.
    public var slide: String
    /// Top left corner, level-0 pixels.
    public var level0X: Double
    public var level0Y: Double
    /// Side, µm.
    public var sideMicrons: Double
    /// Lymphocytes whose centre lies inside.
    public var lymphocytes: Double
    /// Who counted; empty where that is not known.
    public var reader: String

    /// The side where none is given, µm: that of a heatmap's regions (paper §3.2).
    public static let standardSide = 50.0

    public init(
        slide: String, level0X: Double, level0Y: Double, sideMicrons: Double = CountedSquare.standardSide,
        lymphocytes: Double, reader: String = ""
    ) {
        self.slide = slide
        self.level0X = level0X
        self.level0Y = level0Y
        self.sideMicrons = sideMicrons
        self.lymphocytes = lymphocytes
        self.reader = reader
    }
}

/// A square with everything that readers counted in it.
public struct SquareReadings: Equatable, Sendable {
    public let slide: String
    /// Top left corner, level-0 pixels.
    public let level0X: Double
    public let level0Y: Double
    /// Side, µm.
    public let sideMicrons: Double
    /// Counts by reader, in the order of their names.
    public internal(set) var counts: [(reader: String, lymphocytes: Double)]

    public var mean: Double { counts.reduce(0) { $0 + $1.lymphocytes } / Double(max(1, counts.count)) }

    public static func == (one: SquareReadings, other: SquareReadings) -> Bool {
        one.slide == other.slide && one.level0X == other.level0X && one.level0Y == other.level0Y
            && one.sideMicrons == other.sideMicrons
            && one.counts.elementsEqual(other.counts) { $0.reader == $1.reader && $0.lymphocytes == $1.lymphocytes }
    }

    /// Each square once: readings of the same place are together, in the order in which the places come.
    ///
    /// The last count of a reader counts; counts without a name are by different readers.
    public static func grouped(_ squares: [CountedSquare]) -> [SquareReadings] {
        struct Key: Hashable {
            let slide: String
            let x: Int
            let y: Int
            let side: Int
        }
        var found: [SquareReadings] = []
        var places: [Key: Int] = [:]
        for square in squares {
            // Tables of different programs round their places.
            let key = Key(
                slide: square.slide, x: Int(square.level0X.rounded()), y: Int(square.level0Y.rounded()),
                side: Int((square.sideMicrons * 10).rounded()))
            let index: Int
            if let known = places[key] {
                index = known
            } else {
                index = found.count
                places[key] = index
                found.append(
                    SquareReadings(
                        slide: square.slide, level0X: square.level0X, level0Y: square.level0Y,
                        sideMicrons: square.sideMicrons, counts: []))
            }
            if !square.reader.isEmpty { found[index].counts.removeAll { $0.reader == square.reader } }
            found[index].counts.append((square.reader, square.lymphocytes))
        }
        for index in found.indices { found[index].counts.sort { $0.reader < $1.reader } }
        return found
    }
}
