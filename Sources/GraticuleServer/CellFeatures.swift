internal import Foundation
internal import Lymphocytes
internal import Raster
internal import ResultStore

/// A collection of GeoJSON; coordinates are level-0 px.
struct GeoFeatures<Properties: Encodable>: Encodable {
    let type = "FeatureCollection"
    /// Of cells: whether each stands for many.
    var clustered: Bool?
    let features: [GeoFeature<Properties>]
}

struct GeoFeature<Properties: Encodable>: Encodable {
    let type = "Feature"
    let geometry: GeoGeometry
    let properties: Properties
}

enum GeoGeometry: Encodable {
    case polygon([[[Double]]])
    case point([Double])

    private enum Keys: CodingKey {
        case type, coordinates
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        switch self {
        case .polygon(let rings):
            try container.encode("Polygon", forKey: .type)
            try container.encode(rings, forKey: .coordinates)
        case .point(let point):
            try container.encode("Point", forKey: .type)
            try container.encode(point, forKey: .coordinates)
        }
    }
}

/// Cells as GeoJSON; coordinates are level-0 px.
enum CellFeatures {
    private typealias Feature = GeoFeature<Properties>

    private struct Properties: Encodable {
        var id: Int64?
        var probability: Double?
        var areaUm2: Double?
        var x: Double?
        var y: Double?
        var count: Int?
        var side: Double?
    }

    private static func encoded(_ features: [Feature], clustered: Bool) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        return try encoder.encode(GeoFeatures(clustered: clustered, features: features))
    }

    private static func feature(
        id: Int64?, polygon: [UInt8], probability: Double, area: Double, x: Double, y: Double
    ) throws -> Feature {
        let outline = try Polygon(wellKnownBinary: polygon).vertices
        // GeoJSON closes its rings.
        let ring = (outline + outline.prefix(1)).map { [$0.x, $0.y] }
        return Feature(
            geometry: .polygon([ring]),
            properties: Properties(
                id: id, probability: (probability * 1000).rounded() / 1000, areaUm2: (area * 10).rounded() / 10,
                x: (x * 100).rounded() / 100, y: (y * 100).rounded() / 100))
    }

    static func cells(_ cells: [StoredCell]) throws -> Data {
        try encoded(
            try cells.map {
                try feature(
                    id: $0.id, polygon: $0.polygon, probability: $0.meanProbability, area: $0.areaSquareMicrons,
                    x: $0.centroidX, y: $0.centroidY)
            }, clustered: false)
    }

    static func cells(_ cells: [CellRecord]) throws -> Data {
        try encoded(
            try cells.map {
                try feature(
                    id: nil, polygon: $0.polygon, probability: $0.meanProbability, area: $0.areaSquareMicrons,
                    x: $0.centroidX, y: $0.centroidY)
            }, clustered: false)
    }

    /// One point a tile with the number of its cells.
    static func clusters(_ tiles: [TileOverview]) throws -> Data {
        try encoded(
            tiles.filter { $0.cells > 0 }.map {
                Feature(
                    geometry: .point([$0.x + $0.width / 2, $0.y + $0.height / 2]),
                    properties: Properties(x: $0.x, y: $0.y, count: $0.cells, side: $0.width))
            }, clustered: true)
    }
}
