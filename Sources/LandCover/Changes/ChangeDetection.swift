internal import BatchWork
public import Failures
public import Foundation
public import GeoRaster
internal import LabelSuperResolution

/// What changed between two rasters of one place (paper Appendix D): windows of the ground whose mean absolute difference is high.
public struct ChangeDetection: Sendable {
    /// What is compared.
    public enum Signal: String, Sendable, CaseIterable {
        /// Grey levels, once the later image's are calibrated to the earlier one's by an affine map of each band.
        case image
        /// Labels, or with several bands the probabilities of labels.
        case map
    }

    /// Grey levels of the later image become gain · value + offset.
    public struct Calibration: Codable, Equatable, Sendable {
        public let gain: Double
        public let offset: Double
    }

    /// A square of the ground.
    public struct Window: Codable, Equatable, Sendable {
        public let column: Int
        public let row: Int
        /// Its middle in the earlier raster's CRS.
        public let x: Double
        public let y: Double
        /// Mean absolute difference: grey levels, or the share of pixels with another label.
        public let signal: Double
        public internal(set) var isChanged: Bool
    }

    /// Whole windows with data in half of their pixels or more, row by row.
    public private(set) var windows: [Window] = []
    /// Of each band; empty for maps.
    public private(set) var calibration: [Calibration] = []
    public private(set) var threshold = 0.0
    public private(set) var columns = 0
    public private(set) var rows = 0
    /// The windows' own grid.
    public private(set) var transform: GeoTransform
    /// The CRS of the earlier raster.
    public let projection: String
    private let before: GeoRaster
    /// Pixels of the earlier raster in a window.
    private let windowWidth: Int
    private let windowHeight: Int

    /// The side of a window in units of the CRS where none is given (paper Appendix D).
    public static let defaultSide = 240.0

    /// Compares two rasters on the pixels of the earlier one.
    ///
    /// - Parameters:
    ///   - side: of a window, in units of the earlier raster's CRS.
    ///   - threshold: the signal from which a window has changed; nil for 0.15 of maps, and of images for the median and six times the
    ///     median deviation from it.
    ///   - calibrates: whether the later image's grey levels are fitted to the earlier one's first.
    /// - Throws: ``GeoRasterError`` where either has no place or cannot be read; ``InputError`` where they do not fit, do not overlap,
    ///   or are smaller than a window.
    public init(
        before: GeoRaster, after: GeoRaster, signal: Signal, side: Double = ChangeDetection.defaultSide,
        threshold: Double? = nil, calibrates: Bool = true
    ) throws {
        let (own, crs) = try before.placement()
        projection = crs
        self.before = before
        guard before.bands == after.bands else {
            throw InputError(
                .unusable,
                "\(before.url.path) has \(before.bands) bands, \(after.url.path) has \(after.bands): they cannot be compared"
            )
        }
        guard side.isFinite, side > 0, side / own.pixelSize.width < 1e6, side / own.pixelSize.height < 1e6 else {
            throw InputError(.unusable, "\(side) is no side of a window of \(before.url.path)")
        }
        windowWidth = max(1, Int((side / own.pixelSize.width).rounded()))
        windowHeight = max(1, Int((side / own.pixelSize.height).rounded()))
        columns = before.width / windowWidth
        rows = before.height / windowHeight
        guard columns > 0, rows > 0 else {
            throw InputError(
                .unusable,
                "\(before.url.path) is smaller than a window of \(side) units of its CRS: give another --window")
        }
        let c = own.coefficients
        let (across, down) = (Double(windowWidth), Double(windowHeight))
        transform = GeoTransform([c[0], c[1] * across, c[2] * down, c[3], c[4] * across, c[5] * down])
        if signal == .image {
            calibration =
                try calibrates
                ? ChangeDetection.calibration(before: before, after: after)
                : [Calibration](repeating: Calibration(gain: 1, offset: 0), count: before.bands)
        }
        for row in 0..<rows {
            let strip = GeoRaster.Window(column: 0, row: row * windowHeight, width: before.width, height: windowHeight)
            var sums = [(sum: Double, count: Int)](repeating: (0, 0), count: columns)
            try ChangeDetection.compare(before, after, strip) { band, column, one, other in
                guard column / windowWidth < columns else { return }
                let difference: Double
                switch signal {
                case .image:
                    let fit = calibration[band]
                    difference = abs(Double(one) - fit.gain * Double(other) - fit.offset) / Double(before.bands)
                case .map where before.bands == 1: difference = one == other ? 0 : 1
                // Half of the sum over labels is the share that moved; bytes of probabilities are 1 to 255.
                case .map: difference = abs(Double(one) - Double(other)) / 254 / 2
                }
                sums[column / windowWidth].sum += difference
                if band == 0 { sums[column / windowWidth].count += 1 }
            }
            for (column, own) in sums.enumerated() where own.count * 2 >= windowWidth * windowHeight {
                let middle = transform.place(column: Double(column) + 0.5, row: Double(row) + 0.5)
                windows.append(
                    Window(
                        column: column, row: row, x: middle.x, y: middle.y, signal: own.sum / Double(own.count),
                        isChanged: false))
            }
        }
        guard !windows.isEmpty else {
            throw InputError(
                .unusable, "\(before.url.path) and \(after.url.path) have no window with data in both")
        }
        let chosen = threshold ?? ChangeDetection.defaultThreshold(windows.map(\.signal), signal: signal)
        self.threshold = chosen
        for index in windows.indices { windows[index].isChanged = windows[index].signal > chosen }
    }

    private static func defaultThreshold(_ signals: [Double], signal: Signal) -> Double {
        guard signal == .image else { return 0.15 }
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        let middle = median(signals)
        return middle + 6 * median(signals.map { abs($0 - middle) })
    }

    /// Goes through the pixels of a strip that have data in all bands of both.
    private static func compare(
        _ before: GeoRaster, _ after: GeoRaster, _ strip: GeoRaster.Window,
        _ body: (_ band: Int, _ column: Int, _ before: Float, _ after: Float) -> Void
    ) throws(GeoRasterError) {
        var (ones, others): ([[Float]], [[Float]]) = ([], [])
        for band in 0..<before.bands {
            ones.append(try before.values(band: band, in: strip))
            others.append(try after.values(band: band, on: before, window: strip))
        }
        for pixel in 0..<strip.width * strip.height {
            let isData = ones.indices.allSatisfy {
                before.isData(ones[$0][pixel], band: $0) && !others[$0][pixel].isNaN
            }
            guard isData else { continue }
            for band in ones.indices { body(band, pixel % strip.width, ones[band][pixel], others[band][pixel]) }
        }
    }

    /// The least-squares line of the earlier values on the later ones, band by band.
    private static func calibration(before: GeoRaster, after: GeoRaster) throws(GeoRasterError) -> [Calibration] {
        struct Sums {
            var (n, x, y, xx, xy) = (0.0, 0.0, 0.0, 0.0, 0.0)
        }
        var sums = [Sums](repeating: Sums(), count: before.bands)
        for row in stride(from: 0, to: before.height, by: 256) {
            let strip = GeoRaster.Window(
                column: 0, row: row, width: before.width, height: min(256, before.height - row))
            try compare(before, after, strip) { band, _, one, other in
                let (x, y) = (Double(other), Double(one))
                sums[band].n += 1
                sums[band].x += x
                sums[band].y += y
                sums[band].xx += x * x
                sums[band].xy += x * y
            }
        }
        return sums.map { sums in
            let n = max(1, sums.n)
            let variance = sums.xx / n - sums.x / n * (sums.x / n)
            let gain = variance > 1e-9 ? (sums.xy / n - sums.x / n * (sums.y / n)) / variance : 1
            return Calibration(gain: gain, offset: (sums.y - gain * sums.x) / n)
        }
    }

    /// Which windows truly changed, from a raster that is 1 where something did.
    ///
    /// - Parameter share: of a window's pixels that must have changed.
    /// - Returns: for each window; nil where the raster does not reach.
    public func truth(_ raster: GeoRaster, share: Double) throws -> [Bool?] {
        try windows.map { window in
            let values = try raster.values(
                band: 0, on: before,
                window: GeoRaster.Window(
                    column: window.column * windowWidth, row: window.row * windowHeight, width: windowWidth,
                    height: windowHeight))
            let known = values.filter { !$0.isNaN }
            return known.isEmpty ? nil : Double(known.count { $0 != 0 }) > share * Double(known.count)
        }
    }

    /// How well the signal tells changed windows from others; nil where there are not both.
    public func areaUnderCurve(truth: [Bool?]) -> Double? {
        let known = zip(windows, truth).compactMap { window, truly in truly.map { (window.signal, $0) } }
        return try? AreaUnderCurve(scores: known.map(\.0), isPositive: known.map(\.1)).value
    }

    /// Writes the signal of each window as a raster of its own, NaN where there is none.
    public func write(to url: URL) throws(GeoRasterError) {
        var values = [Float](repeating: .nan, count: columns * rows)
        for window in windows { values[window.row * columns + window.column] = Float(window.signal) }
        try FloatRaster.write(
            values, width: columns, height: rows, placement: (transform, projection), name: "signal", to: url)
    }
}
