import Failures
import Testing

@testable import LabelSuperResolution

struct RankStatisticsTests {
    @Test func aucCountsPairsAndTiesHalf() throws {
        let auc = try AreaUnderCurve(scores: [3, 2, 2, 1], isPositive: [true, true, false, false])
        #expect(auc.value == 3.5 / 4)
        #expect(try AreaUnderCurve(scores: [1, 1, 1, 1], isPositive: [true, false, true, false]).value == 0.5)
    }

    /// DeLong's variance by its definition, over all pairs.
    @Test func intervalAgreesWithTheDefinition() throws {
        var generator = SeededGenerator(seed: 8)
        let truth = (0..<60).map { $0 % 3 == 0 }
        let scores = truth.map { ($0 ? 0.8 : 0) + generator.nextGaussian() }
        let auc = try AreaUnderCurve(scores: scores, isPositive: truth)
        let positives = zip(scores, truth).filter(\.1).map(\.0)
        let negatives = zip(scores, truth).filter { !$0.1 }.map(\.0)
        func wins(_ a: Double, _ b: Double) -> Double { a > b ? 1 : a == b ? 0.5 : 0 }
        let over = positives.map { p in negatives.map { wins(p, $0) }.reduce(0, +) / Double(negatives.count) }
        let under = negatives.map { n in positives.map { wins($0, n) }.reduce(0, +) / Double(positives.count) }
        func variance(_ v: [Double]) -> Double {
            let mean = v.reduce(0, +) / Double(v.count)
            return v.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(v.count - 1)
        }
        let error = (variance(over) / Double(over.count) + variance(under) / Double(under.count)).squareRoot()
        // The interval is symmetric on the logit scale; near its middle it is about ± 1.96 standard errors.
        #expect(abs((auc.upper - auc.lower) / (2 * 1.959964 * error) - 1) < 0.05)
        #expect(auc.lower < auc.value && auc.value < auc.upper)
    }

    @Test func oneClassAloneIsAnError() {
        #expect(throws: MethodError.self) { try AreaUnderCurve(scores: [1, 2], isPositive: [true, true]) }
        #expect(throws: MethodError.self) { try AreaUnderCurve(scores: [1, .nan], isPositive: [true, false]) }
    }

    @Test func rocHasOnePointADistinctScore() {
        let roc = ROCCurve(scores: [3, 2, 2, 1], isPositive: [true, true, false, false])
        #expect(roc.points.map(\.truePositiveRate) == [0, 0.5, 1, 1])
        #expect(roc.points.map(\.falsePositiveRate) == [0, 0, 0.5, 1])
    }
}
