import Failures
import Foundation
import Testing
import Torch

@testable import LabelSuperResolution

struct StatisticsMatchingTests {
    private let layout = BlockLayout(margin: 1, blocksPerSide: 1, blockSide: 4)

    private func logits(seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<(2 * 6 * 6)).map { _ in Float(2 * generator.nextGaussian()) }
    }

    private func priors() throws -> LabelPriors {
        try .binary(label: "x", means: [0.1, 0.35], deviations: [0.02, 0.07], origin: "test")
    }

    private func loss(_ logits: [Float], criterion: StatisticsMatching, known: Int?) throws -> (Tensor, Tensor) {
        let scores = try Tensor.from(logits, shape: [1, 2, 6, 6])
        try scores.requireGradient()
        let value = try criterion(
            scores.logSoftmax(dimension: 1), blocks: [priors().expectation(of: BlockLabel(known))],
            shapes: .grid(layout),
            device: .cpu)
        return (value, scores)
    }

    /// The formula by itself, in float64.
    private func closedForm(_ logits: [Float], criterion: StatisticsMatching, known: Int) throws -> Double {
        var (sum, variance) = (0.0, 0.0)
        for y in 1..<5 {
            for x in 1..<5 {
                let p = 1 / (1 + exp(Double(logits[y * 6 + x]) - Double(logits[36 + y * 6 + x])))
                sum += p
                variance += p * (1 - p)
            }
        }
        let (n, eta, rho) = (16.0, try priors().means[known][1], try priors().deviations[known][1])
        let v = variance / n
        let least = max(rho, criterion.leastDeviation ?? 0)
        let match = 0.5 * pow(sum / n - eta, 2) / (criterion.clusterPixels * v / n + least * least)
        return match + criterion.logWeight * 0.5 * (log(v + criterion.epsilon) + log(2 * .pi / n))
    }

    @Test(
        arguments: [
            StatisticsMatching(), StatisticsMatching(epsilon: 0.003, logWeight: 0.3),
            StatisticsMatching(epsilon: 0.01, logWeight: 1, clusterPixels: 5), StatisticsMatching(leastDeviation: 0.3),
        ], [0, 1]) func agreesWithTheClosedForm(criterion: StatisticsMatching, known: Int) throws
    {
        let values = logits(seed: 4)
        let found = Double(try loss(values, criterion: criterion, known: known).0.item())
        let wanted = try closedForm(values, criterion: criterion, known: known)
        #expect(abs(found - wanted) <= 1e-4 * abs(wanted))
    }

    @Test(arguments: [0, 1]) func gradientAgreesWithFiniteDifferences(known: Int) throws {
        let criterion = StatisticsMatching(epsilon: 0.01, logWeight: 0.7)
        let values = logits(seed: 9)
        let (value, scores) = try loss(values, criterion: criterion, known: known)
        try value.backward()
        let gradient = try #require(scores.gradient).values()
        let largest = Double(gradient.map(abs).max() ?? 0)
        for i in [7, 14, 28, 36 + 8, 36 + 21] {
            // The step is what float32 logits resolve; the formula is evaluated in float64.
            let step: Float = 1.0 / 1024
            var (up, down) = (values, values)
            up[i] += step
            down[i] -= step
            let width = Double(up[i]) - Double(down[i])
            let slope =
                (try closedForm(up, criterion: criterion, known: known)
                    - closedForm(down, criterion: criterion, known: known)) / width
            #expect(abs(Double(gradient[i]) - slope) <= 1e-4 * largest, "pixel \(i)")
        }
        #expect(gradient[0] == 0, "the margin gives context only")
    }

    @Test func blocksWithoutAClassAreSkipped() throws {
        let (value, scores) = try loss(logits(seed: 2), criterion: StatisticsMatching(), known: nil)
        #expect(try value.item() == 0)
        try value.backward()
        #expect(try #require(scores.gradient).values().allSatisfy { $0 == 0 })
    }

    @Test func theLogarithmIsOfTheVarianceAlone() throws {
        // Sharpening the same count must lower the loss: the term that "log(σ² + 0.03)" would lose.
        var (soft, sharp) = ([Float](repeating: 0, count: 72), [Float](repeating: 0, count: 72))
        for i in 0..<36 {
            // A quarter of the inner 4×4 pixels either way: all of them a quarter, or one column of four wholly.
            soft[36 + i] = Float(log(0.25 / 0.75))
            sharp[36 + i] = i % 6 < 2 ? 8 : -8
        }
        let criterion = StatisticsMatching()
        #expect(
            try loss(sharp, criterion: criterion, known: 1).0.item()
                < loss(soft, criterion: criterion, known: 1).0.item())
    }

    @Test func anUnknownClassIsAnError() {
        #expect(throws: MethodError.self) { try loss(logits(seed: 1), criterion: StatisticsMatching(), known: 7) }
    }
}
