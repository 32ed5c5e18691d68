internal import Foundation
internal import LabelSuperResolution
internal import Raster
internal import ResultStore
internal import WholeSlide

/// The coarse regions of a slide, to compare what the network predicts for each with what its class leads to expect.
struct RegionSums {
    let records: [RegionRecord]
    /// Changes with the heatmap; part of a run's identity.
    let identity: String
    /// First and last-but-one working pixel of each region.
    private let spans: [(columns: Range<Int>, rows: Range<Int>)]
    /// Regions by their first working row, and the height of the tallest: a band looks at its own only.
    private let byRow: [Int]
    private let tallest: Int

    /// - Parameter heatmaps: folder to look for the slide's heatmap in; without a heatmap there are no regions.
    init(slide: Slide, file: SlideFile, scale: SlideScale, frame: WorkingFrame, heatmaps: URL?, priors: LabelPriors)
        throws
    {
        guard let heatmap = try heatmaps.flatMap({ try Heatmap.ofSlide(slide, file: file, scale: scale, in: $0) })
        else {
            records = []
            spans = []
            byRow = []
            tallest = 0
            identity = "none"
            return
        }
        let classes = ProbabilityClasses(count: priors.classCount)
        let label = priors.labels.count - 1
        records = heatmap.regions.map { region in
            let known = classes.index(of: region.probability)
            return RegionRecord(
                level0X: region.level0X, level0Y: region.level0Y, level0Side: heatmap.level0Side,
                probability: region.probability, coarseClass: known, priorMean: priors.means[known][label],
                priorDeviation: priors.deviations[known][label])
        }
        var fingerprint = Fingerprint()
        for region in heatmap.regions {
            for value in [region.level0X, region.level0Y, region.probability] { fingerprint.add(value) }
        }
        identity = fingerprint.text
        func span(_ level0: Double, _ limit: Int) -> Range<Int> {
            let first = max(0, min(limit, Int(frame.working(level0).rounded())))
            let last = max(first, min(limit, Int(frame.working(level0 + heatmap.level0Side).rounded())))
            return first..<last
        }
        let spans = heatmap.regions.map {
            (columns: span($0.level0X, frame.width), rows: span($0.level0Y, frame.height))
        }
        self.spans = spans
        byRow = spans.indices.sorted { (spans[$0].rows.lowerBound, $0) < (spans[$1].rows.lowerBound, $1) }
        tallest = spans.map(\.rows.count).max() ?? 0
    }

    /// A region's part in some working rows.
    struct Crossing {
        let ordinal: Int
        let columns: Range<Int>
        let rows: Range<Int>
    }

    /// The regions that working rows cross.
    func crossing(_ rows: Range<Int>) -> [Crossing] {
        var position = firstRegion(from: rows.lowerBound - tallest)
        var found: [Crossing] = []
        while position < byRow.count, spans[byRow[position]].rows.lowerBound < rows.upperBound {
            let ordinal = byRow[position]
            let span = spans[ordinal]
            position += 1
            let common = span.rows.clamped(to: rows)
            guard !common.isEmpty, !span.columns.isEmpty else { continue }
            found.append(Crossing(ordinal: ordinal, columns: span.columns, rows: common))
        }
        return found
    }

    /// The place in `byRow` of the first region that begins at or below a row.
    private func firstRegion(from row: Int) -> Int {
        var (low, high) = (0, byRow.count)
        while low < high {
            let middle = (low + high) / 2
            if spans[byRow[middle]].rows.lowerBound < row { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
