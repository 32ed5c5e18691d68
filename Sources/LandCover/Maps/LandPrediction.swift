internal import BatchWork
public import Failures
public import Foundation
public import GeoRaster
internal import LabelSuperResolution
internal import Raster
internal import TiledPrediction

/// What a network finds in a window of an image: enough to paint it with any weights.
public struct LandPrediction: Sendable {
    /// Pixels of the image.
    public let window: GeoRaster.Window
    public let labels: LandClasses
    /// Of each label, row by row, its probability as 1 to 65535; 0 where the image has no data. Label after label.
    public let probabilities: [UInt16]

    /// Codes of the likeliest labels, row by row; 0 where there is no data.
    ///
    /// - Parameter weights: a factor of each label's probability (paper Appendix E); nil for 1. Of equals the first is taken.
    public func codes(weights: [Double]? = nil) -> [UInt8] {
        let pixels = window.width * window.height
        let values = labels.classes.indices.map(labels.value(of:))
        return (0..<pixels).map { pixel in
            guard probabilities[pixel] > 0 else { return 0 }
            var best = (label: 0, value: -1.0)
            for label in values.indices {
                let value = Double(probabilities[label * pixels + pixel] - 1) * (weights?[label] ?? 1)
                if value > best.value { best = (label, value) }
            }
            return values[best.label]
        }
    }

    /// Writes the likeliest labels as a GeoTIFF with the place, colours and names of a map.
    ///
    /// - Parameter image: the one that it was made of.
    public func write(weights: [Double]? = nil, image: GeoRaster, to url: URL) throws(GeoRasterError) {
        let placement = (try? image.placement()).map { place in
            (place.transform.window(column: window.column, row: window.row), place.projection)
        }
        let writer = try GeoRasterWriter(
            url, width: window.width, height: window.height, placement: placement, noData: 0, table: labels.codeTable)
        let codes = codes(weights: weights)
        for row in 0..<window.height {
            try writer.append(Array(codes[(row * window.width)..<((row + 1) * window.width)]))
        }
        try writer.finish()
    }
}

extension LandMapper {
    /// What the network finds in a window of an image; the same as in a map of the whole.
    ///
    /// - Parameter window: within the image.
    /// - Throws: ``GeoRasterError`` where it cannot be read; ``InputError`` where the model does not fit the image.
    public func predict(_ window: GeoRaster.Window, of raster: GeoRaster) throws -> LandPrediction {
        let settings = model.settings
        try check(raster)
        let predictor = TilePredictor(
            reader: BandReader(raster: raster, scaling: settings.scaling), network: model.network)
        let pixels = window.width * window.height
        var found = [UInt16](repeating: 0, count: settings.labels.count * pixels)
        // A tile begins on the network's grid, as the tiles of a map do.
        let multiple = model.network.gridMultiple
        let side = max(multiple, tileSide / multiple * multiple)
        let (left, top) = (window.column / multiple * multiple, window.row / multiple * multiple)
        for y in stride(from: top, to: window.row + window.height, by: side) {
            for x in stride(from: left, to: window.column + window.width, by: side) {
                let tile = TileGrid.Tile(
                    column: 0, row: 0, x: x, y: y, width: min(side, window.column + window.width - x),
                    height: min(side, window.row + window.height - y))
                let output = try predictor.output(of: tile)
                for label in 0..<settings.labels.count {
                    let own = output.probabilities(of: label).values
                    for row in max(y, window.row)..<(y + tile.height) {
                        for column in max(x, window.column)..<(x + tile.width) {
                            let source = (row - y) * tile.width + column - x
                            guard output.detail.isData[source] else { continue }
                            found[label * pixels + (row - window.row) * window.width + column - window.column] =
                                UInt16(1 + (own[source] * 65_534).rounded())
                        }
                    }
                }
            }
        }
        return LandPrediction(window: window, labels: settings.labels, probabilities: found)
    }
}
