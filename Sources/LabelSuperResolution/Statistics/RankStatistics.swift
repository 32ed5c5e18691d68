public import Failures
internal import Foundation

/// The area under a ROC curve with its sampling error.
public struct AreaUnderCurve: Codable, Equatable, Sendable {
    public let value: Double
    /// 95 % interval, DeLong et al. 1988 on the logit scale so that it stays within 0 … 1.
    public let lower: Double
    public let upper: Double
    public let positives: Int
    public let negatives: Int

    /// The probability that a positive scores higher than a negative, ties counting half.
    ///
    /// - Throws: ``MethodError`` where one class is missing or a score is no number.
    public init(scores: [Double], isPositive: [Bool]) throws(MethodError) {
        let positives = zip(scores, isPositive).filter(\.1).map(\.0)
        let negatives = zip(scores, isPositive).filter { !$0.1 }.map(\.0)
        guard !positives.isEmpty, !negatives.isEmpty else {
            throw MethodError(
                .training, "an AUC needs positives and negatives; there are \(positives.count) and \(negatives.count)")
        }
        guard scores.allSatisfy(\.isFinite) else { throw MethodError(.training, "an AUC needs finite scores") }
        let (m, n) = (Double(positives.count), Double(negatives.count))
        let all = Ranks.midranks(positives + negatives)
        let own = Ranks.midranks(positives)
        let other = Ranks.midranks(negatives)
        // Structural components (Sun & Xu 2014): the share of the other class that each score beats.
        let overNegatives = positives.indices.map { (all[$0] - own[$0]) / n }
        let underPositives = negatives.indices.map { 1 - (all[positives.count + $0] - other[$0]) / m }
        value = overNegatives.reduce(0, +) / m
        func variance(_ values: [Double]) -> Double {
            guard values.count > 1 else { return 0 }
            let mean = values.reduce(0, +) / Double(values.count)
            return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
        }
        let error = (variance(overNegatives) / m + variance(underPositives) / n).squareRoot()
        if value > 0, value < 1, error > 0 {
            let logit = log(value / (1 - value))
            let width = 1.959964 * error / (value * (1 - value))
            lower = 1 / (1 + exp(-(logit - width)))
            upper = 1 / (1 + exp(-(logit + width)))
        } else {
            lower = value
            upper = value
        }
        self.positives = positives.count
        self.negatives = negatives.count
    }
}

/// Ranks, and correlations built on them.
public enum Ranks {
    /// Ranks from 1, equal values sharing the mean of theirs.
    public static func midranks(_ values: [Double]) -> [Double] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Double](repeating: 0, count: values.count)
        var start = 0
        while start < order.count {
            var end = start
            while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
            for i in start...end { ranks[order[i]] = Double(start + end) / 2 + 1 }
            start = end + 1
        }
        return ranks
    }

    /// Pearson's correlation with weights; nil where one side does not vary.
    public static func correlation(_ x: [Double], _ y: [Double], weights: [Double]) -> Double? {
        let total = weights.reduce(0, +)
        guard total > 0 else { return nil }
        func mean(_ v: [Double]) -> Double { zip(v, weights).reduce(0) { $0 + $1.0 * $1.1 } / total }
        let (mx, my) = (mean(x), mean(y))
        var (xx, yy, xy) = (0.0, 0.0, 0.0)
        for i in x.indices {
            xx += weights[i] * (x[i] - mx) * (x[i] - mx)
            yy += weights[i] * (y[i] - my) * (y[i] - my)
            xy += weights[i] * (x[i] - mx) * (y[i] - my)
        }
        return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : nil
    }
}

/// The points of a ROC curve from (0, 0) to (1, 1), one for each distinct score.
public struct ROCCurve: Sendable {
    public let points: [(falsePositiveRate: Double, truePositiveRate: Double)]

    public init(scores: [Double], isPositive: [Bool]) {
        let positives = Double(isPositive.filter { $0 }.count)
        let negatives = Double(isPositive.count) - positives
        let order = scores.indices.sorted { scores[$0] > scores[$1] }
        var points: [(Double, Double)] = [(0, 0)]
        var (hits, alarms) = (0.0, 0.0)
        for (position, index) in order.enumerated() {
            if isPositive[index] { hits += 1 } else { alarms += 1 }
            let isLastOfTie = position + 1 == order.count || scores[order[position + 1]] != scores[index]
            if isLastOfTie { points.append((alarms / max(1, negatives), hits / max(1, positives))) }
        }
        self.points = points
    }
}
