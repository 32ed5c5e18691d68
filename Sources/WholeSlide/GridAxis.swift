internal import Failures
internal import Foundation

/// The places of a heatmap's regions along one axis, from which the step of their grid is found.
///
/// quip writes centres as whole pixels, `int(x0 + (x + 50) · pw / 1000)`: steps of 198.4 or 201.2 px are normal, and the
/// distances of neighbours are 198 and 199 in turn. So the step is fitted over the numbers of the places, not taken from
/// neighbours.
struct GridAxis {
    private var places = Set<Double>()

    /// A grid has no more columns than this; places that are all different are no grid.
    private static let mostPlaces = 1 << 20

    mutating func add(_ place: Double) {
        if places.count < GridAxis.mostPlaces { places.insert(place) }
    }

    /// Places with their numbers, as far as they lie on one grid.
    private struct Fit {
        var step: Double
        var points: [(number: Double, place: Double)]

        /// Sums for a line through the points: of squares of the numbers, and of their products with the places.
        var moments: (square: Double, product: Double) {
            let count = Double(points.count)
            let mean = points.reduce((0.0, 0.0)) { ($0.0 + $1.number / count, $0.1 + $1.place / count) }
            return points.reduce((0.0, 0.0)) {
                ($0.0 + ($1.number - mean.0) * ($1.number - mean.0), $0.1 + ($1.number - mean.0) * ($1.place - mean.1))
            }
        }

        var range: Double { (points.last?.number ?? 0) - (points.first?.number ?? 0) }
    }

    /// Numbers the places by a step that is refined as the numbers grow; partial regions at an edge, which lie off the grid,
    /// get none.
    private var fit: Fit? {
        let sorted = places.sorted()
        guard let first = sorted.first, sorted.count > 1 else { return nil }
        var frequency: [Double: Int] = [:]
        for (a, b) in zip(sorted, sorted.dropFirst()) { frequency[b - a, default: 0] += 1 }
        guard var step = frequency.max(by: { ($0.value, -$0.key) < ($1.value, -$1.key) })?.key else { return nil }
        var best = Fit(step: step, points: [])
        // The first place may be a partial region itself: then the grid begins at a later one.
        for start in sorted.prefix(3) {
            var fit = Fit(step: step, points: [(0, start)])
            for place in sorted where place > start {
                guard let last = fit.points.last else { break }
                let steps = ((place - last.place) / fit.step).rounded()
                // Both ends are cut to whole pixels; over many steps what is not yet known of the step adds up.
                let slack = 1.5 + 0.003 * fit.step * min(steps, 100)
                guard steps >= 1, abs(place - last.place - steps * fit.step) <= slack else { continue }
                fit.points.append((last.number + steps, place))
                let range = fit.points[fit.points.count - 1].number
                if range >= 4 { fit.step = (place - start) / range }
            }
            if fit.points.count > best.points.count { best = fit }
        }
        step = best.step
        return best.points.count > 1 ? best : Fit(step: step, points: [(0, first), (1, first + step)])
    }

    /// The step that both axes share: regions are squares.
    ///
    /// - Throws: ``SlideError`` where there is a single region, or the axes do not agree.
    static func step(_ columns: GridAxis, _ rows: GridAxis, path: String) throws(SlideError) -> Double {
        let fits = [columns.fit, rows.fit].compactMap { $0 }
        guard var step = fits.first?.step else {
            throw SlideError(.heatmap, "heatmap \(path) has a single region: its size cannot be told")
        }
        if fits.count == 2 {
            let (across, down) = (fits[0].step, fits[1].step)
            let ratio = max(across, down) / min(across, down)
            guard abs(ratio - ratio.rounded()) <= 0.02 * ratio else {
                throw SlideError(
                    .heatmap,
                    "heatmap \(path) has regions \(GridAxis.text(across)) px apart across and \(GridAxis.text(down)) px down: they are no squares"
                )
            }
            // Where every other column is missing, the other axis tells the step.
            step = min(across, down)
        }
        let fitted = fits.filter { abs($0.step - step) <= 0.02 * step }
        let moments = fitted.map(\.moments).reduce((0.0, 0.0)) { ($0.0 + $1.square, $0.1 + $1.product) }
        let exact = moments.0 > 0 ? moments.1 / moments.0 : step
        // Whole steps are whole: over the grid what is fitted differs by less than the pixel to which places are cut.
        let range = fitted.map(\.range).max() ?? 1
        return abs(exact - exact.rounded()) * range <= 0.75 ? exact.rounded() : exact
    }

    static func text(_ number: Double) -> String { String(format: "%.4g", number) }
}
