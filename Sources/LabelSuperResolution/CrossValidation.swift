/// Splits samples into folds, each with the same share of both classes.
public struct CrossValidation: Sendable {
    /// The fold of each sample.
    public let folds: [Int]
    public let count: Int

    public init(isPositive: [Bool], folds count: Int, seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var folds = [Int](repeating: 0, count: isPositive.count)
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
