internal import COpenSlide
internal import Failures
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
    /// Places across and down that are compared.
    private static let places = 4
    /// Pixels of the finer level that are read for a place at most: where a level is far coarser, a smaller part is compared.
    private static let mostFinePixels = 256
    /// Grey levels by which averages over an eighth of the side may differ, and the correlation that is wanted if they do:
    /// scanners sharpen levels and shift them by up to a pixel, but what is elsewhere on the slide agrees in neither.
    private static let mostDifference = 24.0
    private static let leastCorrelation = 0.5
    /// Grey levels by which a place may be brighter or darker as a whole: no filter does that.
    private static let mostOffset = 20.0
    /// Standard deviation of grey below which a place shows nothing to compare.
    private static let leastContrast = 6.0

    /// - Returns: the levels that can be used, and why the others cannot.
    /// - Throws: ``SlideError`` where the full resolution is not to be trusted: nothing is left then.
    func result() throws(SlideError) -> (levels: [Slide.Level], leftOut: [String]) {
        guard let base = levels.first else { return ([], []) }
        let pages = TIFF.pages(url)
        if let orientation = orientation(base, pages) {
            throw SlideError(
                .unopenable,
                "cannot use slide \(url.path): its tiles are stored turned or mirrored (TIFF orientation \(orientation)): save it upright"
            )
        }
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
            if let orientation = orientation(level, pages) {
                reason = "is stored turned or mirrored (TIFF orientation \(orientation))"
            } else if isSmallerThanItsTile(level, pages) {
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
        readsSmallTilesWrongly
            && pages.contains { page in
                page.width == level.width && page.height == level.height && !page.isJPEG
                    && (page.tileWidth > page.width || page.tileHeight > page.height)
            }
    }

    /// OpenSlide turns the pixels within each tile instead of the image.
    ///
    /// - Returns: how a level is stored; nil where it is upright.
    private func orientation(_ level: Slide.Level, _ pages: [TIFF.Page]) -> Int? {
        pages.first { $0.width == level.width && $0.height == level.height && $0.orientation > 1 }?.orientation
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
        let resampling = AreaResampling(scale: ratio)
        var (bad, seen) = (0, 0)
        // On a lattice that is no multiple of anything: slides of fields have white lines between them.
        for index in 0..<(LevelCheck.places * LevelCheck.places) {
            let (column, row) = (index % LevelCheck.places, index / LevelCheck.places)
            let x = Int(Double(level.width - side) * (Double(column) + 0.37) / Double(LevelCheck.places))
            let y = Int(Double(level.height - side) * (Double(row) + 0.61) / Double(LevelCheck.places))
            let (columns, rows) = (
                resampling.finePixels(start: x, count: side), resampling.finePixels(start: y, count: side)
            )
            // Tiles that cannot be decoded are noted when they are needed; nothing more can be read on a handle that failed.
            guard let image = read(level, x, y, side, side),
                let fine = read(finer, columns.lowerBound, rows.lowerBound, columns.count, rows.count)
            else { return nil }
            let expected = resampling.resampled(fine, x: x, y: y, width: side, height: side)
            let contrast = max(
                LevelCheck.deviation(LevelCheck.grey(image)), LevelCheck.deviation(LevelCheck.grey(expected)))
            guard contrast >= LevelCheck.leastContrast else { continue }
            seen += 1
            if LevelCheck.differ(image, expected) { bad += 1 }
        }
        // One place may lie on what the scanner joined anew; of a few it is much.
        return bad > 1 || 2 * bad > seen ? "shows something else than the full resolution" : nil
    }

    private static func differ(_ a: RGBImage, _ b: RGBImage) -> Bool {
        let (a, b) = (blocks(grey(a), side: a.width), blocks(grey(b), side: b.width))
        let difference = zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / Double(max(1, a.count))
        let (meanA, meanB) = (a.reduce(0, +) / Double(a.count), b.reduce(0, +) / Double(b.count))
        let product = zip(a, b).reduce(0) { $0 + ($1.0 - meanA) * ($1.1 - meanB) } / Double(a.count)
        let deviations = deviation(a) * deviation(b)
        let correlation = deviations > 0 ? product / deviations : 0
        return abs(meanA - meanB) > mostOffset || difference > mostDifference && correlation < leastCorrelation
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
