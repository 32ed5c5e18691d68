public import BatchWork
public import Failures
public import Foundation
public import GeoRaster
internal import Tables

/// The classes of a raster of codes, with names and colours: coarse classes, or the labels of single pixels.
///
/// Several codes may have one name; they are one class, and maps are written with the first of its codes.
public struct LandClasses: Codable, Equatable, Sendable {
    /// A code of the raster.
    public struct Code: Codable, Equatable, Sendable {
        public let value: Int
        /// The class that it belongs to, by its place in ``LandClasses/classes``.
        public let index: Int
    }

    /// A class.
    public struct Class: Codable, Equatable, Sendable {
        public let name: String
        /// Red, green, blue.
        public let color: [UInt8]
        /// A name that several classes share, as `developed`; nil for none.
        public let group: String?

        public init(name: String, color: [UInt8], group: String? = nil) {
            precondition(color.count == 3, "a colour has three parts")
            self.name = name
            self.color = color
            self.group = group
        }
    }

    public let classes: [Class]
    public let codes: [Code]

    public var count: Int { classes.count }
    public var names: [String] { classes.map(\.name) }

    /// Classes with one code each.
    public init(_ classes: [(value: Int, class: Class)]) {
        self.classes = classes.map(\.class)
        codes = classes.enumerated().map { Code(value: $1.value, index: $0) }
    }

    /// The class of a value; nil where no class has it. For many values there is ``lookup``.
    public func index(of value: Float) -> Int? {
        codes.first { Float($0.value) == value }?.index
    }

    /// The class of each value, found at once: for loops over pixels.
    public var lookup: CodeLookup { CodeLookup(codes) }

    /// The code with which a class is written: its first.
    public func value(of index: Int) -> UInt8 {
        UInt8(clamping: codes.first { $0.index == index }?.value ?? 0)
    }

    /// Names and colours for a map.
    public var codeTable: CodeTable {
        CodeTable(
            classes.enumerated().map { CodeTable.Entry(value: value(of: $0), name: $1.name, color: $1.color) })
    }

    /// Which classes are in a group, or have this name.
    public func members(of group: String) -> Set<Int> {
        Set(classes.indices.filter { classes[$0].group == group || classes[$0].name == group })
    }

    /// More classes than this are no classes.
    private static let most = 128

    /// Reads a table `value,name,color[,group]`; colours are `#rrggbb`.
    ///
    /// - Throws: ``TableError`` or ``InputError`` with file and line where a row is malformed, a value stands twice, or there are
    ///   none.
    public init(contentsOf url: URL) throws {
        var classes: [Class] = []
        var codes: [Code] = []
        try CSVTable.read(url, requiring: ["value", "name", "color"]) { row in
            func refused(_ what: String) -> InputError {
                InputError(.unusable, "\(url.path) line \(row.line): \(what)")
            }
            let value = try row.number("value")
            guard value == value.rounded(), (0...65_535).contains(value) else {
                throw refused("\(value) is no code: whole numbers from 0 to 65535 are")
            }
            guard !codes.contains(where: { Double($0.value) == value }) else {
                throw refused("the value \(Int(value)) stands twice")
            }
            let name = try row.text("name").trimmingCharacters(in: .whitespaces)
            guard !name.isEmpty else { throw refused("the name is missing") }
            let text = try row.text("color").trimmingCharacters(in: CharacterSet(charactersIn: " #"))
            guard text.count == 6, let color = UInt32(text, radix: 16) else {
                throw refused("'\(text)' is no colour: write one as #33aa66")
            }
            var group: String?
            if row.has("group"), try !row.isBlank("group") {
                group = try row.text("group").trimmingCharacters(in: .whitespaces)
            }
            let parts = [UInt8(color >> 16), UInt8(color >> 8 & 255), UInt8(color & 255)]
            let known = classes.firstIndex { $0.name == name }
            codes.append(Code(value: Int(value), index: known ?? classes.count))
            if known == nil { classes.append(Class(name: name, color: parts, group: group)) }
            guard classes.count <= LandClasses.most else { throw refused("there are too many classes") }
        }
        guard !classes.isEmpty else { throw InputError(.unusable, "\(url.path) names no class") }
        (self.classes, self.codes) = (classes, codes)
    }

    /// Labels of pixels by a name that is built in, or from a table.
    ///
    /// - Throws: ``InputError`` where a code does not fit a map: its bytes hold 1 to 255, and 0 is no data.
    public init(labelsNamed text: String) throws {
        try self.init(named: text)
        if let code = codes.first(where: { !(1...255).contains($0.value) }) {
            throw InputError(
                .unusable, "\(text): the label code \(code.value) fits no map: codes from 1 to 255 do, 0 is no data")
        }
    }

    /// The classes by a name that is built in, or from a table.
    public init(named text: String) throws {
        switch text {
        case "nlcd": self = .nlcd
        case "land4": self = .fourLabels
        default: self = try LandClasses(contentsOf: URL(fileURLWithPath: text))
        }
    }
}

/// The class of each code.
public struct CodeLookup: Sendable {
    /// By code; −1 where no class has it.
    private let indices: [Int16]

    fileprivate init(_ codes: [LandClasses.Code]) {
        var indices = [Int16](repeating: -1, count: (codes.map(\.value).max() ?? 0) + 1)
        for code in codes { indices[code.value] = Int16(code.index) }
        self.indices = indices
    }

    /// nil where no class has the value.
    public subscript(value: Float) -> Int? {
        guard value >= 0, value < Float(indices.count) else { return nil }
        let code = Int(value)
        return Float(code) == value && indices[code] >= 0 ? Int(indices[code]) : nil
    }
}

extension LandClasses {
    /// The National Land Cover Database of the USA, legend and colours of 2011 and later.
    public static let nlcd = LandClasses(
        [
            (11, "Open Water", 0x466b9f, nil), (12, "Perennial Ice/Snow", 0xd1def8, nil),
            (21, "Developed, Open Space", 0xdec5c5, "developed"),
            (22, "Developed, Low Intensity", 0xd99282, "developed"),
            (23, "Developed, Medium Intensity", 0xeb0000, "developed"),
            (24, "Developed, High Intensity", 0xab0000, "developed"), (31, "Barren Land", 0xb3ac9f, nil),
            (41, "Deciduous Forest", 0x68ab5f, nil), (42, "Evergreen Forest", 0x1c5f2c, nil),
            (43, "Mixed Forest", 0xb5c58f, nil), (51, "Dwarf Scrub", 0xaf963c, nil), (52, "Shrub/Scrub", 0xccb879, nil),
            (71, "Grassland/Herbaceous", 0xdfdfc2, nil), (72, "Sedge/Herbaceous", 0xd1d182, nil),
            (73, "Lichens", 0xa3cc51, nil), (74, "Moss", 0x82ba9e, nil), (81, "Pasture/Hay", 0xdcd939, nil),
            (82, "Cultivated Crops", 0xab6c28, nil), (90, "Woody Wetlands", 0xb8d9eb, nil),
            (95, "Emergent Herbaceous Wetlands", 0x6c9fb8, nil),
        ].map { ($0.0, Class(name: $0.1, color: hex($0.2), group: $0.3)) })

    /// The paper's four labels, with the codes of the Chesapeake Conservancy's maps; 5 and 6, barren and other impervious, are
    /// told apart there.
    public static let fourLabels = LandClasses(
        [
            (1, "water", 0x1f6fb2), (2, "forest", 0x2b7a3d), (3, "field", 0xa8cf6a), (4, "impervious", 0xa9a3a0),
        ].map { ($0.0, Class(name: $0.1, color: hex($0.2))) })

    private static func hex(_ color: UInt32) -> [UInt8] {
        [UInt8(color >> 16), UInt8(color >> 8 & 255), UInt8(color & 255)]
    }
}

extension LandClasses {
    /// Factors of labels' probabilities from text such as `water=1,impervious=2`; 1 for those not named.
    ///
    /// - Throws: ``InputError`` where a name is none of the labels', or a factor is negative or no number.
    public func weights(_ text: String) throws(InputError) -> [Double] {
        var weights = [Double](repeating: 1, count: count)
        let parts = text.split(separator: ",")
        guard !parts.isEmpty else {
            throw InputError(.unusable, "no weight is given: write \(names.map { "\($0)=1" }.joined(separator: ","))")
        }
        for part in parts {
            let sides = part.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            guard sides.count == 2, let index = names.firstIndex(of: sides[0]) else {
                throw InputError(
                    .unusable,
                    "'\(part)' is no weight of a label: write \(names.map { "\($0)=1" }.joined(separator: ","))")
            }
            guard let value = Double(sides[1]), value.isFinite, value >= 0 else {
                throw InputError(.unusable, "the weight of \(sides[0]) is no number of 0 or more: '\(sides[1])'")
            }
            weights[index] = value
        }
        guard weights.contains(where: { $0 > 0 }) else { throw InputError(.unusable, "one weight must be above 0") }
        return weights
    }
}
