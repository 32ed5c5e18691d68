internal import COpenSlide
internal import Foundation
internal import Raster

/// Which levels of a pyramid can be trusted: those that agree with the finer ones in shape and in sampled pixels.
///
/// A wrong level goes unnoticed otherwise: tissue and cells are found on it, and only fewer of them. OpenSlide 3.4.1 with
/// libtiff from 4.5 on returns uninitialised memory for lossless images smaller than their tile; headers may be damaged.
struct LevelCheck {
    let url: URL
    let levels: [Slide.Level]
    /// A rectangle of a level, in pixels of that level; nil where it cannot be decoded.
    let read: (_ level: Slide.Level, _ x: Int, _ y: Int, _ width: Int, _ height: Int) -> RGBImage?

    /// Sides of a level may each be rounded up or down, and some writers round twice.
    private static let roundingPixels = 2.0
    /// The side of what is compared, in pixels of the level.
    private static let side = 32
    /// Places that are looked at, of which those with most contrast are compared.
    private static let places = 4
    private static let compared = 2
    /// Pixels of the finer level that are read for a place at most: where a level is far coarser, a smaller part is compared.
    private static let mostFinePixels = 256
    /// Grey levels by which averages over an eighth of the side may differ, and the correlation that is wanted if they do:
    /// scanners sharpen levels and shift them by up to a pixel, but what is elsewhere on the slide agrees in neither.
    private static let mostDifference = 24.0
    private static let leastCorrelation = 0.5
    /// Standard deviation of grey below which a place shows nothing to compare.
    private static let leastContrast = 6.0

    /// - Returns: the levels that can be used, and why the others cannot.
    /// - Throws: ``SlideError`` where the full resolution is not to be trusted: nothing is left then.
    func result() throws(SlideError) -> (levels: [Slide.Level], leftOut: [String]) {
        guard let base = levels.first else { return ([], []) }
        let pages = readsSmallTilesWrongly ? TIFF.pages(url) : []
        if isSmallerThanItsTile(base, pages) {
            throw SlideError(
                .unopenable,
                "cannot use slide \(url.path): its \(base.width)×\(base.height) px are fewer than one of its lossless tiles, "
                    + "which OpenSlide \(Slide.libraryVersion) reads as random pixels: save it with smaller tiles or as JPEG"
            )
        }
        var kept = [base]
        var leftOut: [String] = []
        for level in levels.dropFirst() {
            let reason: String?
            if isSmallerThanItsTile(level, pages) {
                reason =
                    "is smaller than its lossless tile, which OpenSlide \(Slide.libraryVersion) reads as random pixels"
            } else if !hasShape(of: base, level) {
                reason = "does not have the shape of the slide"
            } else {
                reason = agrees(level, with: kept[kept.count - 1])
            }
            if let reason {
                leftOut.append("level \(level.number) of \(level.width)×\(level.height) px \(reason)")
            } else {
                kept.append(level)
            }
        }
        return (kept, leftOut)
    }

    private var readsSmallTilesWrongly: Bool { Slide.libraryVersion.hasPrefix("3.") }

    private func isSmallerThanItsTile(_ level: Slide.Level, _ pages: [TIFF.Page]) -> Bool {
        pages.contains { page in
            page.width == level.width && page.height == level.height && !page.isJPEG
                && (page.tileWidth > page.width || page.tileHeight > page.height)
        }
    }

    private func hasShape(of base: Slide.Level, _ level: Slide.Level) -> Bool {
        guard level.width > 0, level.height > 0, level.width <= base.width, level.height <= base.height,
            level.downsample.isFinite, level.downsample >= 0.99
        else { return false }
        let wide = Double(base.width) / Double(level.width)
        return abs(Double(base.height) / wide - Double(level.height))
            <= LevelCheck.roundingPixels + 0.005 * Double(level.height)
    }

    /// - Returns: what is wrong; nil where nothing is, or nothing can be told.
    private func agrees(_ level: Slide.Level, with finer: Slide.Level) -> String? {
        let ratio = level.downsample / finer.downsample
        let side = max(
            4, min(LevelCheck.side, Int(Double(LevelCheck.mostFinePixels) / ratio), level.width, level.height))
        guard ratio * Double(side) <= 4 * Double(LevelCheck.mostFinePixels) else { return nil }
        var places: [(x: Int, y: Int, image: RGBImage, contrast: Double)] = []
        var unreadable = 0
        // On a lattice that is no multiple of anything: slides of fields have white lines between them.
        for index in 0..<(LevelCheck.places * LevelCheck.places) {
            let (column, row) = (index % LevelCheck.places, index / LevelCheck.places)
            let x = Int(Double(level.width - side) * (Double(column) + 0.37) / Double(LevelCheck.places))
            let y = Int(Double(level.height - side) * (Double(row) + 0.61) / Double(LevelCheck.places))
            guard let image = read(level, x, y, side, side) else {
                unreadable += 1
                // Its handle has failed: nothing more can be read on it.
                break
            }
            places.append((x, y, image, LevelCheck.deviation(LevelCheck.grey(image))))
        }
        // Tiles that cannot be decoded are noted when they are needed.
        guard unreadable == 0 else { return nil }
        let telling = places.sorted { $0.contrast > $1.contrast }.prefix(LevelCheck.compared)
            .filter { $0.contrast >= LevelCheck.leastContrast }
        guard !telling.isEmpty else { return nil }
        let resampling = AreaResampling(scale: ratio)
        var (bad, seen) = (0, 0)
        for place in telling {
            let (columns, rows) = (
                resampling.finePixels(start: place.x, count: side), resampling.finePixels(start: place.y, count: side)
            )
            guard let fine = read(finer, columns.lowerBound, rows.lowerBound, columns.count, rows.count) else {
                return nil
            }
            let expected = resampling.resampled(fine, x: place.x, y: place.y, width: side, height: side)
            seen += 1
            if LevelCheck.differ(place.image, expected) { bad += 1 }
        }
        return 2 * bad > seen ? "shows something else than the full resolution" : nil
    }

    private static func differ(_ a: RGBImage, _ b: RGBImage) -> Bool {
        let (a, b) = (blocks(grey(a), side: a.width), blocks(grey(b), side: b.width))
        let difference = zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / Double(max(1, a.count))
        let (meanA, meanB) = (a.reduce(0, +) / Double(a.count), b.reduce(0, +) / Double(b.count))
        let product = zip(a, b).reduce(0) { $0 + ($1.0 - meanA) * ($1.1 - meanB) } / Double(a.count)
        let deviations = deviation(a) * deviation(b)
        let correlation = deviations > 0 ? product / deviations : 0
        return difference > mostDifference && correlation < leastCorrelation
            || correlation < 0.1 && difference > mostDifference / 2
    }

    private static func grey(_ image: RGBImage) -> [Double] {
        (0..<(image.width * image.height)).map {
            Double(Int(image.pixels[3 * $0]) + Int(image.pixels[3 * $0 + 1]) + Int(image.pixels[3 * $0 + 2])) / 3
        }
    }

    /// Averages over squares of a quarter to an eighth of the side, in which a shift of a pixel hardly shows.
    private static func blocks(_ values: [Double], side: Int) -> [Double] {
        let step = max(1, side / 8)
        let count = side / step
        return (0..<(count * count)).map { index in
            let (left, top) = (index % count * step, index / count * step)
            var sum = 0.0
            for y in top..<(top + step) { for x in left..<(left + step) { sum += values[y * side + x] } }
            return sum / Double(step * step)
        }
    }

    private static func deviation(_ values: [Double]) -> Double {
        let mean = values.reduce(0, +) / Double(max(1, values.count))
        return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, values.count))).squareRoot()
    }
}
