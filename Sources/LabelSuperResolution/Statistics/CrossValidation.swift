/// Splits samples into folds: each with the same share of both classes, or whole groups of samples in one fold each.
public struct CrossValidation: Sendable {
    /// The fold of each sample.
    public let folds: [Int]
    public let count: Int

    /// - Parameter groups: samples of one group are neighbours, and stay in one fold; empty for each sample by itself, as are
    ///   fewer groups than folds.
    public init(isPositive: [Bool], groups: [String] = [], folds count: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var folds = [Int](repeating: 0, count: isPositive.count)
        if groups.count == isPositive.count, Set(groups).count >= count {
            let members = Dictionary(grouping: groups.indices) { groups[$0] }
            // The largest first, each into the fold that has least yet.
            var sizes = [Int](repeating: 0, count: count)
            for group in members.keys.sorted(by: { (members[$0]?.count ?? 0, $0) > (members[$1]?.count ?? 0, $1) }) {
                let fold = sizes.indices.min { sizes[$0] < sizes[$1] } ?? 0
                for member in members[group] ?? [] { folds[member] = fold }
                sizes[fold] += members[group]?.count ?? 0
            }
            self.folds = folds
            self.count = count
            return
        }
        for wanted in [true, false] {
            let members = isPositive.indices.filter { isPositive[$0] == wanted }.shuffled(using: &generator)
            for (position, member) in members.enumerated() { folds[member] = position % count }
        }
        self.folds = folds
        self.count = count
    }

    /// Scores every sample by what was learnt from the other folds.
    ///
    /// - Parameter score: given the samples to learn from and those to score, the scores of the latter.
    public func scores(_ score: (_ training: [Int], _ testing: [Int]) throws -> [Double]) rethrows -> [Double] {
        var result = [Double](repeating: 0, count: folds.count)
        for fold in 0..<count {
            let testing = folds.indices.filter { folds[$0] == fold }
            let values = try score(folds.indices.filter { folds[$0] != fold }, testing)
            for (index, value) in zip(testing, values) { result[index] = value }
        }
        return result
    }
}
