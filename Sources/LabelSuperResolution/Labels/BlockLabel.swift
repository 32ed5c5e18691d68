public import Failures

/// What is known of one block beforehand: the mean η and standard deviation ρ of the fraction of its pixels that bear each fine
/// label, in the order of the network's outputs.
public struct BlockExpectation: Codable, Hashable, Sendable {
    /// η, by label; they sum to 1.
    public let means: [Double]
    /// ρ, by label; at least ``LabelPriors/leastDeviation``.
    public let deviations: [Double]

    /// - Throws: ``MethodError`` where the numbers are no fractions.
    public init(means: [Double], deviations: [Double]) throws(MethodError) {
        let floored = deviations.map { max($0, LabelPriors.leastDeviation) }
        guard means.count == deviations.count, means.allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1 }),
            abs(means.reduce(0, +) - 1) < 1e-6, floored.allSatisfy({ $0.isFinite && $0 <= 1 })
        else {
            throw MethodError(
                .priors, "a block's means are no fractions that sum to 1, or its deviations are not in 0 … 1: \(means)")
        }
        self.init(checked: means, deviations: floored)
    }

    init(checked means: [Double], deviations: [Double]) {
        self.means = means
        self.deviations = deviations
    }
}

/// The coarse label of one block.
public enum BlockLabel: Hashable, Sendable {
    /// Nothing is known: the block gives context only.
    case unknown
    /// One of the coarse classes, whose expectation is in the priors.
    case coarseClass(Int)
    /// An expectation of the block's own, as from a count of what is in it.
    case expectation(BlockExpectation)

    public init(_ coarseClass: Int?) {
        self = coarseClass.map(BlockLabel.coarseClass) ?? .unknown
    }

    public var coarseClass: Int? {
        if case .coarseClass(let known) = self { known } else { nil }
    }
}

extension LabelPriors {
    /// What a block's label leads to expect; nil where it is unknown.
    ///
    /// - Throws: ``MethodError`` where there is no such class, or the block's own expectation is for other labels.
    public func expectation(of label: BlockLabel) throws(MethodError) -> BlockExpectation? {
        switch label {
        case .unknown: return nil
        case .coarseClass(let known):
            guard means.indices.contains(known) else {
                throw MethodError(.priors, "coarse class \(known) has no priors (there are \(classCount) classes)")
            }
            return BlockExpectation(checked: means[known], deviations: deviations[known])
        case .expectation(let own):
            guard own.means.count == labels.count else {
                throw MethodError(.priors, "a block has \(own.means.count) means for \(labels.count) labels")
            }
            return own
        }
    }
}
