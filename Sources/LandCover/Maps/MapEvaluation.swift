public import BatchWork
public import Failures
internal import Foundation
public import GeoRaster

/// How well maps agree with rasters of true labels.
public struct MapEvaluation: Sendable {
    /// Counts of pixels by true and by found label.
    public struct Confusion: Sendable, Equatable, Codable {
        public let labels: [String]
        /// By true label, then by found one; the last column holds pixels for which the map has no label.
        public internal(set) var counts: [[Int]]

        public init(labels: [String]) {
            self.labels = labels
            counts = [[Int]](repeating: [Int](repeating: 0, count: labels.count + 1), count: labels.count)
        }

        /// The counts of several maps together; nil for none.
        public static func sum(_ all: [Confusion]) -> Confusion? {
            guard var sum = all.first else { return nil }
            for one in all.dropFirst() {
                sum.counts = zip(sum.counts, one.counts).map { zip($0, $1).map { $0 + $1 } }
            }
            return sum
        }

        public var total: Int { counts.joined().reduce(0, +) }

        /// Share of pixels whose label is found.
        public var accuracy: Double {
            Double(labels.indices.reduce(0) { $0 + counts[$1][$1] }) / Double(max(1, total))
        }

        /// Pixels that both bear a label over those that either bears; nil where none bears it.
        public func intersectionOverUnion(of label: Int) -> Double? {
            let both = counts[label][label]
            let union = counts[label].reduce(0, +) + counts.reduce(0) { $0 + $1[label] } - both
            return union > 0 ? Double(both) / Double(union) : nil
        }

        /// The mean over labels that some pixel truly bears: a label that is only found is in the others' unions.
        public var meanIntersectionOverUnion: Double {
            let known = labels.indices.filter { counts[$0].reduce(0, +) > 0 }
            let values = known.map { intersectionOverUnion(of: $0) ?? 0 }
            return values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
        }
    }

    public private(set) var all: Confusion
    /// Pixels whose coarse class is in a group; nil where none was asked for.
    public private(set) var within: Confusion?
    private let labels: LandClasses
    private let group: (classes: LandClasses, members: Set<Int>)?

    /// - Parameters:
    ///   - labels: of maps and truth.
    ///   - group: a group or class of the coarse table.
    /// - Throws: ``InputError`` where the table has no such group.
    public init(labels: LandClasses, coarse: LandClasses = .nlcd, within group: String? = nil) throws(InputError) {
        self.labels = labels
        all = Confusion(labels: labels.names)
        guard let group else {
            self.group = nil
            return
        }
        let members = coarse.members(of: group)
        guard !members.isEmpty else {
            throw InputError(.unusable, "no coarse class is named '\(group)' or in a group of that name")
        }
        within = Confusion(labels: labels.names)
        self.group = (coarse, members)
    }

    /// Adds a map. Pixels without a true label are left out; those without a label in the map are wrong.
    ///
    /// - Throws: ``InputError`` where the rasters do not have the same pixels.
    public mutating func add(map: GeoRaster, truth: GeoRaster, coarse: GeoRaster? = nil) throws {
        guard map.bands == 1 else {
            throw InputError(
                .unusable, "\(map.url.path) has \(map.bands) bands: a map of labels has one, without --probabilities")
        }
        guard map.hasPixels(of: truth) else {
            throw InputError(
                .unusable,
                "map \(map.url.path) of \(map.width)×\(map.height) px does not have the pixels of \(truth.url.path), \(truth.width)×\(truth.height)"
            )
        }
        let cells = try coarse.flatMap { coarse in
            try group.map { try CoarseCells(image: truth, coarse: coarse, classes: $0.classes) }
        }
        let (none, lookup) = (labels.count, labels.lookup)
        try CoarseCells.strips(of: truth) { window in
            let (found, wanted) = (try map.values(band: 0, in: window), try truth.values(band: 0, in: window))
            let known = try cells?.cells(in: window)
            for index in wanted.indices {
                guard truth.isData(wanted[index], band: 0), let label = lookup[wanted[index]] else {
                    continue
                }
                let own = map.isData(found[index], band: 0) ? lookup[found[index]] ?? none : none
                all.counts[label][own] += 1
                guard let known, let group else { continue }
                let cell = known.grid.cells[index]
                guard cell >= 0, let coarseClass = known.classes[Int(cell)], group.members.contains(coarseClass) else {
                    continue
                }
                within?.counts[label][own] += 1
            }
        }
    }
}
