import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import LabelSuperResolution

struct LabelPriorsTests {
    @Test func countsBecomeFractions() throws {
        let priors = try LabelPriors.fromCounts(
            [[0, 0, 0, 0, 0], [2, 2, 2, 2, 2], [26, 26, 26, 26, 26]], label: "x", objectPixels: 154, blockPixels: 10_000
        )
        #expect(priors.means.map { $0[1] }.elementsEqual([0, 0.0308, 0.4004]) { abs($0 - $1) < 1e-9 })
        #expect(priors.deviations[0][1] == LabelPriors.leastDeviation)
        #expect(abs(priors.deviations[2][1] - (0.25 * 0.4004 + 0.005)) < 1e-9)
    }

    @Test func noisyCountsAreMadeMonotone() throws {
        #expect(LabelPriors.isotonic([0, 3, 1, 5], weights: [1, 1, 1, 1]) == [0, 2, 2, 5])
        #expect(LabelPriors.isotonic([4, 2, 0], weights: [1, 1, 2]) == [1.5, 1.5, 1.5])
        let priors = try LabelPriors.fromCounts([[5, 7], [3, 3]], label: "x", objectPixels: 100, blockPixels: 10_000)
        #expect(priors.means[0] == priors.means[1])
        #expect(priors.deviations[0][1] > priors.deviations[1][1], "the spread of the counts goes into ρ")
    }

    @Test func fractionsGiveTheirMeanAndDeviation() throws {
        let priors = try LabelPriors.fromFractions([[0.1, 0.3], [0.5, 0.5]], label: "x")
        #expect(abs(priors.means[0][1] - 0.2) < 1e-12)
        #expect(abs(priors.deviations[0][1] - 0.02.squareRoot()) < 1e-9)
    }

    @Test func theFileIsReadBackAndBadOnesAreRefused() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("priors.json")
            let priors = try LabelPriors.defaultCurve(label: "x", classCount: 10)
            try priors.encoded().write(to: file)
            #expect(try LabelPriors(contentsOf: file) == priors)
            for text in ["", "{", #"{"labels":["a","b"],"means":[[0.5,0.7]],"deviations":[[0.1,0.1]],"origin":"x"}"#] {
                try Data(text.utf8).write(to: file)
                #expect(throws: MethodError.self) { try LabelPriors(contentsOf: file) }
            }
        }
    }

    @Test func anEmptyClassIsNamed() {
        #expect(throws: MethodError.self) {
            try LabelPriors.fromCounts([[1], []], label: "x", objectPixels: 154, blockPixels: 10_000)
        }
    }

    @Test func intervalsGiveTheMomentsOfAnEvenDistribution() throws {
        let priors = try LabelPriors.fromIntervals([0...0.1, 0.2...0.8], label: "x")
        #expect(abs(priors.means[1][1] - 0.5) < 1e-12)
        #expect(abs(priors.deviations[1][1] - 0.6 / 12.0.squareRoot()) < 1e-12)
        #expect(priors.means[0][0] == 0.95)
    }

    @Test func misjudgedPriorsAreScaledAndShifted() throws {
        let priors = try LabelPriors.binary(
            label: "x", means: [0, 0.2, 0.6], deviations: [0.02, 0.05, 0.1], origin: "test")
        #expect(try priors.scaled(by: 2).means.map { $0[1] } == [0, 0.4, 1])
        #expect(try priors.scaled(by: 0.5).deviations.map { $0[1] } == [0.01, 0.025, 0.05])
        #expect(try priors.shifted(by: 1).means.map { $0[1] } == [0.2, 0.6, 0.6])
        #expect(try priors.shifted(by: -1).means.map { $0[1] } == [0, 0, 0.2])
    }
}
