internal import GeoRaster
internal import Raster

/// How an image's values become a picture: of each band the values between the 2nd and the 98th per cent, from black to white.
struct BandStretch: Sendable {
    /// Of red, green and blue.
    private let ranges: [(low: Float, high: Float)]
    private let bands: [Int]

    /// More pixels of a side tell nothing new.
    private static let mostSide = 512

    /// - Parameter window: nil for the whole image, of which every so many pixels are looked at.
    init(_ image: GeoRaster, window: GeoRaster.Window? = nil) throws {
        let window = window ?? GeoRaster.Window(column: 0, row: 0, width: image.width, height: image.height)
        bands = (0..<3).map { min($0, image.bands - 1) }
        let (width, height) = (min(BandStretch.mostSide, window.width), min(BandStretch.mostSide, window.height))
        let mask = try image.mask(in: window, width: width, height: height)
        ranges = try bands.map { band in
            let values = try image.values(band: band, in: window, width: width, height: height)
            let sorted = values.enumerated().filter { pixel, value in
                value.isFinite && image.isData(value, band: band) && mask?[pixel] ?? true
            }.map(\.element).sorted()
            guard let last = sorted.last else { return (0, 1) }
            let low = sorted[sorted.count / 50]
            let high = sorted.count > 50 ? sorted[sorted.count - 1 - sorted.count / 50] : last
            return (low, max(low + 1e-6, high))
        }
    }

    /// A window of the image as a picture of so many columns and rows; white where there is no data.
    func picture(
        of image: GeoRaster, window: GeoRaster.Window, width: Int, height: Int
    ) throws -> RGBImage {
        var picture = RGBImage(width: width, height: height)
        let values = try bands.map { try image.values(band: $0, in: window, width: width, height: height) }
        let mask = try image.mask(in: window, width: width, height: height)
        for pixel in 0..<width * height {
            guard mask?[pixel] ?? true,
                zip(values, bands).allSatisfy({ $0[pixel].isFinite && image.isData($0[pixel], band: $1) })
            else {
                continue
            }
            for part in 0..<3 {
                let (low, high) = ranges[part]
                picture.pixels[3 * pixel + part] = UInt8(
                    max(0, min(1, (values[part][pixel] - low) / (high - low))) * 255)
            }
        }
        return picture
    }
}
