internal import Foundation
internal import LabelSuperResolution
internal import ResultStore
internal import WholeSlide

/// The coarse regions of a slide, to compare what the network predicts for each with what its class leads to expect.
struct RegionSums {
    let records: [RegionRecord]
    /// Changes with the heatmap; part of a run's identity.
    let identity: String
    /// First and last-but-one working pixel of each region.
    private let spans: [(columns: Range<Int>, rows: Range<Int>)]
    private let width: Int

    /// - Parameter heatmaps: folder to look for the slide's heatmap in; without a heatmap there are no regions.
    init(slide: Slide, scale: SlideScale, frame: WorkingFrame, heatmaps: URL?, priors: LabelPriors) throws {
        width = frame.width
        guard let heatmaps, let file = SlideFolder.heatmap(forSlideNamed: slide.name, in: heatmaps) else {
            records = []
            spans = []
            identity = "none"
            return
        }
        let heatmap = try Heatmap(file)
        try heatmap.check(fits: slide, scale: scale)
        let classes = CoarseClasses(count: priors.classCount)
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
        spans = heatmap.regions.map { (span($0.level0X, frame.width), span($0.level0Y, frame.height)) }
    }

    /// What a band adds to the regions that it crosses.
    func sums(over band: TileBand) -> [RegionSum] {
        let rows = band.y..<(band.y + band.height)
        return spans.enumerated().compactMap { ordinal, span in
            let common = span.rows.clamped(to: rows)
            guard !common.isEmpty, !span.columns.isEmpty else { return nil }
            // What could not be read tells nothing of the region.
            let columns = span.columns.filter { column in !band.unreadable.contains { $0.contains(column) } }
            var sum = 0
            for row in common {
                let start = (row - band.y) * width
                for column in columns { sum += Int(band.probability[start + column]) }
            }
            return RegionSum(ordinal: ordinal, pixels: common.count * columns.count, probabilitySum: Double(sum) / 255)
        }
    }
}
