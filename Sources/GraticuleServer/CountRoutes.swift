internal import BatchWork
internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import LabelSuperResolution
internal import Lymphocytes
internal import ResultStore
internal import WholeSlide

/// Counting lymphocytes in sampled regions, from which the priors come.
extension GraticuleService {
    private struct Region: Encodable {
        let slide: String
        let name: String
        let coarseClass: Int
        let x: Double
        let y: Double
        let side: Double
        let micronsPerPixel: Double?
        let points: [[Double]]?
        let countedBy: String?
        let countedAt: String?
    }

    private struct NewCount: Decodable {
        let slide: String
        let x: Double
        let y: Double
        let points: [[Double]]
        let by: String
    }

    private struct Priors: Encodable {
        let means: [Double]
        let deviations: [Double]
        /// Counted regions by class.
        let counted: [Int]
        let message: String?
    }

    /// The most lymphocytes of a region: packed, they are about 60.
    private static let mostPoints = 500

    private func sample(seed: Int) async throws -> [RegionSample] {
        guard let heatmaps = options.heatmaps else {
            throw HTTPError(
                .notFound, message: "regions are drawn from heatmaps: start the service with --heatmaps DIR")
        }
        let key = String(seed)
        if let known = samples[key] { return known }
        return try await networkWork.run {
            if let known = samples[key] { return known }
            let drawn = try RegionSample.draw(
                slides: library.entries.map(\.file), heatmaps: heatmaps, givenScale: options.givenScale,
                seed: UInt64(seed))
            samples.insert(drawn, for: key, cost: 1)
            return drawn
        }
    }

    func addCounting(to router: Router<Context>) {
        router.get("/api/count/regions") { request, _ in try await countedRegions(request) }
        router.post("/api/count") { request, _ in try await storeCount(request) }
        router.get("/api/count/priors") { _, _ in try await countedPriors() }
    }

    private func countedRegions(_ request: Request) async throws -> Response {
        let drawn = try await sample(seed: try request.integer("seed", in: 1...100) ?? 1)
        // A reader sees their own counts; without a name, that somebody has counted.
        let reader = request.uri.queryParameters["by"].map { String($0).removingPercentEncoding ?? String($0) }
        let counts = try await storeWork.run { try views.counts() }
        let regions = try await tileWork.run(key: "regions") {
            try drawn.compactMap { region -> Region? in
                guard let entry = library.entry(named: region.slide) else { return nil }
                let count = counts.first {
                    $0.slide == region.slide && $0.level0X == region.level0X && $0.level0Y == region.level0Y
                        && (reader == nil || $0.countedBy == reader)
                }
                return Region(
                    slide: entry.id, name: region.slide, coarseClass: region.coarseClass, x: region.level0X,
                    y: region.level0Y, side: region.level0Side,
                    micronsPerPixel: try library.opened(entry).scale?.micronsPerPixel, points: count?.points,
                    countedBy: count?.countedBy, countedAt: count?.countedAt)
            }
        }
        return JSONBody.response(regions)
    }

    private func storeCount(_ request: Request) async throws -> Response {
        try needsWriting()
        let new = try await JSONBody.decode(
            NewCount.self, from: request, keys: ["slide", "x", "y", "points", "by"])
        let entry = try library.entry(id: new.slide)
        let seed = try request.integer("seed", in: 1...100) ?? 1
        let by = new.by.trimmingCharacters(in: .whitespacesAndNewlines)
        guard (1...100).contains(by.count) else {
            throw HTTPError(.badRequest, message: "say who counted, in at most 100 characters")
        }
        guard
            let region = try await sample(seed: seed).first(where: {
                $0.slide == entry.name && $0.level0X == new.x && $0.level0Y == new.y
            })
        else { throw HTTPError(.badRequest, message: "that region is none of those to count in") }
        let frame = 0...region.level0Side
        guard new.points.count <= GraticuleService.mostPoints,
            new.points.allSatisfy({
                $0.count == 2 && frame.contains($0[0] - region.level0X) && frame.contains($0[1] - region.level0Y)
            })
        else {
            throw HTTPError(
                .badRequest,
                message: "points must lie in the region, at most \(GraticuleService.mostPoints) of them")
        }
        try await writeWork.run {
            try store.storeCount(
                RegionCountRecord(
                    slide: region.slide, level0X: region.level0X, level0Y: region.level0Y,
                    level0Side: region.level0Side, coarseClass: region.coarseClass, points: new.points,
                    countedBy: by))
        }
        return JSONBody.response(["lymphocytes": new.points.count], status: .created)
    }

    private func countedPriors() async throws -> Response {
        let counts = try await storeWork.run { try views.counts() }
        var counted = [Int](repeating: 0, count: ProbabilityClasses().count)
        for region in CountTable.byRegion(counts) where counted.indices.contains(region.coarseClass) {
            counted[region.coarseClass] += 1
        }
        do {
            let priors = try CountTable.priors(of: counts, from: "the page")
            let last = priors.labels.count - 1
            return JSONBody.response(
                Priors(
                    means: priors.means.map { $0[last] }, deviations: priors.deviations.map { $0[last] },
                    counted: counted, message: nil))
        } catch let error as InputError {
            // Not every class has been counted yet: what there is so far.
            let partial = CountTable.partialMeans(of: counts, classes: counted.count)
            return JSONBody.response(
                Priors(means: partial, deviations: [], counted: counted, message: error.message))
        }
    }
}
