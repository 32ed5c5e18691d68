internal import BatchWork
internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import LabelSuperResolution
internal import Lymphocytes
internal import NIOCore
internal import Raster
internal import ResultStore
internal import WholeSlide

/// Squares in which readers count lymphocytes: the labels that models are trained from.
extension GraticuleService {
    /// A square as a reader sees it: nothing tells what is expected in it.
    private struct Square: Encodable {
        /// Identifier.
        let slide: String
        let name: String
        let x: Double
        let y: Double
        let side: Double
        let sideMicrons: Double
        let status: String?
        let points: [[Double]]
        let note: String
        /// How many other readers have counted it; only whether, not what.
        let others: Int
    }

    private struct NewReading: Decodable {
        let slide: String
        let x: Double
        let y: Double
        let sideMicrons: Double
        let status: String
        let points: [[Double]]
        let note: String?
        let by: String
    }

    private struct NewSquares: Decodable {
        let count: Int
        let model: String?
        let byClass: Bool?
    }

    private struct Proposed: Encodable {
        let added: Int
        /// Slides that cannot be used, a sentence each.
        let leftOut: [String]
    }

    private struct Priors: Encodable {
        let means: [Double]
        let deviations: [Double]
        /// Counted regions by class.
        let counted: [Int]
        let message: String?
    }

    /// The most lymphocytes of a square: packed, they are about 60 in one of 50 µm.
    private static let mostPoints = 2000
    private static let mostProposed = 1000
    private static let mostSquares = 100_000

    func addCounting(to router: Router<Context>) {
        router.get("/api/squares") { request, _ in try await squares(request) }
        router.post("/api/squares/propose") { request, _ in try await proposeSquares(request) }
        router.post("/api/squares/reading") { request, _ in try await storeReading(request) }
        router.get("/api/squares/agreement") { _, _ in try await agreement() }
        router.get("/api/squares/priors") { _, _ in try await countedPriors() }
        router.get("/api/squares.csv") { _, _ in try await squareTable() }
    }

    private func squares(_ request: Request) async throws -> Response {
        let reader = request.uri.queryParameters["by"].map { String($0).removingPercentEncoding ?? String($0) } ?? ""
        let (squares, readings) = try await storeWork.run { (try views.squares(), try views.squareReadings()) }
        let all = Dictionary(grouping: readings) { SquareKey($0.square) }
        let shown = squares.compactMap { square -> Square? in
            guard let entry = library.entry(named: square.slide) else { return nil }
            let readings = all[SquareKey(square)] ?? []
            let own = readings.first { $0.reader == reader }
            return Square(
                slide: entry.id, name: square.slide, x: square.level0X, y: square.level0Y, side: square.level0Side,
                sideMicrons: square.sideMicrons, status: own?.status.rawValue, points: own?.points ?? [],
                note: own?.note ?? "", others: readings.count { $0.reader != reader && $0.status == .counted })
        }
        // Each reader has an order of their own, always the same: neighbours and likely counts must not follow each other.
        let rounds = Dictionary(squares.map { (SquareKey($0), $0.round) }, uniquingKeysWith: { first, _ in first })
        func order(_ square: Square) -> (Int, String) {
            var fingerprint = Fingerprint()
            fingerprint.add("\(reader)|\(square.name)|\(square.x)|\(square.y)".utf8)
            let key = SquareKey(
                slide: square.name, x: square.x, y: square.y, sideMicrons: square.sideMicrons)
            return (rounds[key] ?? 0, fingerprint.text)
        }
        return JSONBody.response(shown.map { ($0, order($0)) }.sorted { $0.1 < $1.1 }.map(\.0))
    }

    private struct SquareKey: Hashable {
        let slide: String
        let x: Double
        let y: Double
        let sideMicrons: Double

        init(slide: String, x: Double, y: Double, sideMicrons: Double) {
            self.slide = slide
            self.x = x
            self.y = y
            self.sideMicrons = sideMicrons
        }

        init(_ square: SquareRecord) {
            self.init(
                slide: square.slide, x: square.level0X, y: square.level0Y, sideMicrons: square.sideMicrons)
        }
    }

    private func proposeSquares(_ request: Request) async throws -> Response {
        try needsWriting()
        let wanted = try await JSONBody.decode(
            NewSquares.self, from: request, keys: ["count", "model", "by_class"])
        guard (1...GraticuleService.mostProposed).contains(wanted.count) else {
            throw HTTPError(.badRequest, message: "between 1 and \(GraticuleService.mostProposed) squares at a time")
        }
        let model = try await networkWork.run {
            try wanted.model.map { try SquareModel(try library.modelFolder($0)) }
        }
        let known = try await storeWork.run { try views.squares() }
        guard known.count + wanted.count <= GraticuleService.mostSquares else {
            throw HTTPError(.badRequest, message: "there are \(known.count) squares already: count these first")
        }
        let heatmaps = wanted.byClass == true ? options.heatmaps : nil
        guard wanted.byClass != true || heatmaps != nil else {
            throw HTTPError(
                .badRequest, message: "squares by class need heatmaps: start the service with --heatmaps DIR")
        }
        let givenScale = options.givenScale
        let slides = library.entries.map(\.file)
        // One side for all: a training takes no mixture.
        let side = known.first?.sideMicrons ?? CountedSquare.standardSide
        let (chosen, leftOut) = try await proposalWork.run { () -> ([SquareRecord], [String]) in
            if let heatmaps {
                let drawn = try RegionSample.draw(slides: slides, heatmaps: heatmaps, givenScale: givenScale, seed: 1)
                    .map(\.square)
                return (drawn, [])
            }
            let round = (known.map(\.round).max() ?? 0) + 1
            let (candidates, failures) = SquareCandidates(
                sideMicrons: side, givenScale: givenScale, seed: UInt64(round)
            ).collect(
                slides, slidesAtMost: max(10, wanted.count), model: model)
            guard !candidates.isEmpty else {
                throw HTTPError(
                    .conflict,
                    message: "no slide has tissue to count in"
                        + (failures.first.map { ": \(withoutPaths(text: $0.message))" } ?? ""))
            }
            let chosen = SquareChoice.choose(
                wanted.count, from: candidates, taken: known, round: round, seed: UInt64(round))
            return (chosen, failures.map(\.message))
        }
        let added = try await writeWork.run { try store.addSquares(chosen) }
        return withoutPaths(
            JSONBody.data(Proposed(added: added, leftOut: leftOut)), status: .created)
    }

    private func storeReading(_ request: Request) async throws -> Response {
        try needsWriting()
        let new = try await JSONBody.decode(
            NewReading.self, from: request,
            keys: ["slide", "x", "y", "side_microns", "status", "points", "note", "by"])
        let entry = try library.entry(id: new.slide)
        let by = new.by.trimmingCharacters(in: .whitespacesAndNewlines)
        guard (1...100).contains(by.count) else {
            throw HTTPError(.badRequest, message: "say who counts, in at most 100 characters")
        }
        guard let status = SquareReadingRecord.Status(rawValue: new.status) else {
            throw HTTPError(.badRequest, message: "the status is open, counted or skipped")
        }
        guard (new.note ?? "").count <= 500 else {
            throw HTTPError(.badRequest, message: "a note has at most 500 characters")
        }
        let square = try await storeWork.run {
            try views.square(
                slide: entry.file.title, level0X: new.x, level0Y: new.y, sideMicrons: new.sideMicrons)
        }
        guard let square else {
            throw HTTPError(.badRequest, message: "that square is none of those to count in")
        }
        let frame = 0...square.level0Side
        guard new.points.count <= GraticuleService.mostPoints,
            new.points.allSatisfy({
                $0.count == 2 && frame.contains($0[0] - square.level0X) && frame.contains($0[1] - square.level0Y)
            })
        else {
            throw HTTPError(
                .badRequest,
                message: "points must lie in the square, at most \(GraticuleService.mostPoints) of them")
        }
        let reading = SquareReadingRecord(
            square: square, reader: by, status: status, points: new.points, note: new.note ?? "")
        guard try await writeWork.run({ try store.storeReading(reading) }) else {
            throw HTTPError(.conflict, message: "that square is there no longer")
        }
        return JSONBody.response(["lymphocytes": new.points.count], status: .created)
    }

    private func counted() async throws -> [CountedSquare] {
        try await storeWork.run { try views.squareReadings().compactMap(CountedSquare.init) }
    }

    private func agreement() async throws -> Response {
        JSONBody.response(CellCounting.agreement(SquareReadings.grouped(try await counted())))
    }

    private func squareTable() async throws -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/csv; charset=utf-8", .contentDisposition: "attachment; filename=\"squares.csv\"",
            ], body: ResponseBody(byteBuffer: ByteBuffer(string: SquareTable.text(try await counted()))))
    }

    private func countedPriors() async throws -> Response {
        let readings = try await storeWork.run { try views.squareReadings() }
        let counts = CountTable.byClass(readings)
        do {
            let priors = try CountTable.priors(of: readings, from: "the page")
            let last = priors.labels.count - 1
            return JSONBody.response(
                Priors(
                    means: priors.means.map { $0[last] }, deviations: priors.deviations.map { $0[last] },
                    counted: counts.map(\.count), message: nil))
        } catch let error as InputError {
            // Not every class has been counted yet: what there is so far.
            return JSONBody.response(
                Priors(
                    means: CountTable.partialMeans(counts), deviations: [], counted: counts.map(\.count),
                    message: error.message))
        }
    }
}
