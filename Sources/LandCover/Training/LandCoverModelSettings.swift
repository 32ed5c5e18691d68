internal import Foundation
public import GeoRaster
public import LabelSuperResolution

/// How an image's values become a network's input: (value − mean) / deviation, band by band.
public struct BandScaling: Codable, Equatable, Sendable {
    public var means: [Double]
    public var deviations: [Double]

    public var bands: Int { means.count }

    public init(means: [Double], deviations: [Double]) {
        precondition(means.count == deviations.count, "each band has both")
        self.means = means
        self.deviations = deviations
    }

    /// What a network sees of a window, `CHW`: 0, the mean, wherever any band has no data or the window lies beyond the image.
    ///
    /// - Returns: the values, and for each pixel whether all bands have data.
    public func input(
        of raster: GeoRaster, x: Int, y: Int, width: Int, height: Int
    ) throws(GeoRasterError) -> (values: [Float], isData: [Bool]) {
        let pixels = width * height
        var values = [Float](repeating: 0, count: bands * pixels)
        var isData = [Bool](repeating: false, count: pixels)
        let (left, top) = (max(0, x), max(0, y))
        let (right, bottom) = (min(raster.width, x + width), min(raster.height, y + height))
        guard right > left, bottom > top else { return (values, isData) }
        let window = GeoRaster.Window(column: left, row: top, width: right - left, height: bottom - top)
        for row in 0..<window.height {
            let start = (top - y + row) * width + left - x
            for i in start..<(start + window.width) { isData[i] = true }
        }
        for band in 0..<bands {
            let read = try raster.values(band: band, in: window)
            let noData = raster.noData[band].map { Float($0) }
            let (mean, scale) = (Float(means[band]), Float(1 / deviations[band]))
            for row in 0..<window.height {
                let source = row * window.width
                let target = (top - y + row) * width + left - x
                for column in 0..<window.width {
                    let value = read[source + column]
                    if !value.isFinite || value == noData {
                        isData[target + column] = false
                    } else {
                        values[band * pixels + target + column] = max(-8, min(8, (value - mean) * scale))
                    }
                }
            }
        }
        if let mask = try raster.mask(in: window) {
            for (index, isShown) in mask.enumerated() where !isShown {
                isData[(top - y + index / window.width) * width + left - x + index % window.width] = false
            }
        }
        if isData.contains(false) {
            for pixel in 0..<pixels where !isData[pixel] {
                for band in 0..<bands { values[band * pixels + pixel] = 0 }
            }
        }
        return (values, isData)
    }
}

/// What `model.json` says of a land-cover model beside what every model has.
public struct LandCoverModelSettings: ModelSettings {
    public static let application = "landcover"

    public var scaling: BandScaling
    /// Size of a pixel in the images' own units, as it was in training; nil where they have no place.
    public var pixelSize: Double?
    public var coarse: LandClasses
    public var labels: LandClasses
    /// Names of the images that it was trained on.
    public var images: [String]

    public init(
        scaling: BandScaling, pixelSize: Double?, coarse: LandClasses, labels: LandClasses, images: [String]
    ) {
        self.scaling = scaling
        self.pixelSize = pixelSize
        self.coarse = coarse
        self.labels = labels
        self.images = images
    }

    public func flaw(for architecture: UNetArchitecture) -> String? {
        guard scaling.bands == architecture.inputChannels, scaling.deviations.count == scaling.bands else {
            return "there are means of \(scaling.bands) bands for \(architecture.inputChannels)"
        }
        guard scaling.means.allSatisfy(\.isFinite), scaling.deviations.allSatisfy({ $0.isFinite && $0 > 0 }) else {
            return "'scaling' has an impossible value"
        }
        guard labels.count == architecture.labels else {
            return "there are \(labels.count) labels for \(architecture.labels) outputs"
        }
        return nil
    }
}

/// The description of a land-cover model.
public typealias LandCoverModelDescription = ModelDescription<LandCoverModelSettings>
