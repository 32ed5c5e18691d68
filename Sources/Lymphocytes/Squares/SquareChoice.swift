internal import Foundation
internal import LabelSuperResolution
public import ResultStore

/// Which squares are to be counted.
///
/// Drawn by chance, three of four squares are empty, and the rare dense ones are missed. So the squares are spread over steps of what
/// is likely in them – the number of round dark nuclei – each step getting as many as any other as long as it
/// has some. Within a step they are spread over slides and over how the tissue looks, and with a model over the places where
/// its networks disagree.
public enum SquareChoice {
    /// - Parameters:
    ///   - candidates: must not be among `taken`; those that are, are passed over.
    ///   - taken: squares that were chosen before, with how they look where that is known.
    ///   - round: of the chosen ones.
    /// - Returns: at most `count` squares, in the order in which they were chosen.
    public static func choose(
        _ count: Int, from candidates: [SquareCandidate], taken: [SquareRecord] = [], round: Int = 1, seed: UInt64
    ) -> [SquareRecord] {
        var generator = SeededGenerator(seed: seed, stream: 12 + UInt64(round))
        let known = Set(taken.map(Place.init))
        let looks = Looks(candidates)
        let free = candidates.filter { !known.contains(Place($0.square)) }.shuffled(using: &generator)
            .map { (candidate: $0, point: looks.point($0)) }
        let before = candidates.filter { known.contains(Place($0.square)) }
        var chosen = before.map { looks.point($0) }
        var slides = Dictionary(before.map { ($0.square.slide, 1) }, uniquingKeysWith: +)
        var steps = Dictionary(grouping: free) { step($0.candidate) }
        var filled = Dictionary(before.map { (step($0), 1) }, uniquingKeysWith: +)
        var result: [SquareRecord] = []
        while result.count < count {
            // The step with the fewest squares so far; among equals the one with most in it.
            guard
                let next = steps.filter({ !$0.value.isEmpty }).min(by: {
                    (share($0.key, filled), -$0.key) < (share($1.key, filled), -$1.key)
                })?.key, var members = steps[next]
            else { break }
            // The members are in an order of chance.
            let worths = members.suffix(tried).map {
                worth($0.candidate, at: $0.point, chosen: chosen, slides: slides)
            }
            guard let best = worths.indices.max(by: { worths[$0] < worths[$1] }) else { break }
            let (candidate, point) = members.remove(at: members.count - worths.count + best)
            steps[next] = members
            filled[next, default: 0] += 1
            slides[candidate.square.slide, default: 0] += 1
            chosen.append(point)
            var square = candidate.square
            square.round = round
            result.append(square)
        }
        return result
    }

    /// So many squares of a step are compared for one that is chosen. The farthest from all others of hundreds would be what is odd –
    /// ink, folds, edges – and not what is common.
    private static let tried = 4

    /// How full a step is; squares in which nothing is likely are needed half as much, since colour tells of them too.
    private static func share(_ step: Int, _ filled: [Int: Int]) -> Double {
        Double(filled[step, default: 0]) * (step == 0 ? 2 : 1)
    }

    /// Squares by chance, each as likely as any other: what the choice is compared with.
    public static func byChance(_ count: Int, from candidates: [SquareCandidate], seed: UInt64) -> [SquareRecord] {
        var generator = SeededGenerator(seed: seed, stream: 13)
        return candidates.shuffled(using: &generator).prefix(count).map(\.square)
    }

    private struct Place: Hashable {
        let slide: String
        let x: Int
        let y: Int

        init(_ square: SquareRecord) {
            slide = square.slide
            x = Int(square.level0X.rounded())
            y = Int(square.level0Y.rounded())
        }
    }

    /// 0, 1, 2–3, 4–7 … of what is likely in a square.
    private static func step(_ candidate: SquareCandidate) -> Int {
        // Not what a model finds: an early one is wrong, and would see to it that it is not shown where.
        let likely = candidate.features.roundNuclei
        return likely < 0.5 ? 0 : 1 + Int(log2(max(1, likely)))
    }

    /// How much is to be learnt: how far the square is from those chosen, in how it looks; more where networks disagree, less
    /// on a slide that has many already.
    private static func worth(
        _ candidate: SquareCandidate, at point: [Double], chosen: [[Double]], slides: [String: Int]
    ) -> Double {
        let nearest = chosen.map { Looks.distance(point, $0) }.min() ?? 1
        let crowd = Double(1 + slides[candidate.square.slide, default: 0]).squareRoot()
        return (nearest + 0.1) * (1 + min(1, candidate.finding?.disagreement ?? 0)) / crowd
    }

    /// Features in units of their spread over the candidates.
    private struct Looks {
        private let means: [Double]
        private let scales: [Double]

        init(_ candidates: [SquareCandidate]) {
            let rows = candidates.map { Looks.values($0) }
            let width = rows.first?.count ?? 0
            let count = Double(max(1, rows.count))
            let means = (0..<width).map { column in rows.reduce(0) { $0 + $1[column] } / count }
            self.means = means
            scales = (0..<width).map { column in
                let variance = rows.reduce(0) { $0 + pow($1[column] - means[column], 2) } / count
                return 1 / max(1e-9, variance.squareRoot())
            }
        }

        private static func values(_ candidate: SquareCandidate) -> [Double] {
            let features = candidate.features
            return [features.hematoxylin, features.eosin, features.texture, features.roundNuclei.squareRoot()]
        }

        func point(_ candidate: SquareCandidate) -> [Double] {
            let values = Looks.values(candidate)
            return values.indices.map { (values[$0] - means[$0]) * scales[$0] }
        }

        static func distance(_ one: [Double], _ other: [Double]) -> Double {
            var sum = 0.0
            for index in one.indices { sum += (one[index] - other[index]) * (one[index] - other[index]) }
            return sum.squareRoot()
        }
    }
}
