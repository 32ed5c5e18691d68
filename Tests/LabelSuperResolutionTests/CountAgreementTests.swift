import LabelSuperResolution
import Testing

struct CountAgreementTests {
    private func readings(_ counts: [[Double]]) -> [[(reader: String, count: Double)]] {
        counts.map { row in row.enumerated().map { (reader: "reader \($0.offset + 1)", count: $0.element) } }
    }

    /// Shrout & Fleiss (1979), table 2: six targets, four judges; ICC(1,1) = .17.
    @Test func theCorrelationOfThePapersTableIsThePapers() throws {
        let agreement = CountAgreement(
            readings([
                [9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7],
            ]))
        let found = try #require(agreement.intraclassCorrelation)
        #expect(abs(found - 0.166) < 0.001)
        #expect(agreement.count == 6 && agreement.pairs.count == 6)
    }

    @Test func differencesHaveTheirBiasAndLimits() throws {
        // Differences 0, −2, 0, 2 of means 1, 3, 6, 5: bias 0, standard deviation √(8/3).
        let agreement = CountAgreement(readings([[1, 1], [2, 4], [6, 6], [6, 4], [9]]))
        #expect(agreement.count == 4, "what one reader counted tells nothing of agreement")
        let pair = try #require(agreement.pairs.first)
        #expect(pair.first == "reader 1" && pair.second == "reader 2" && pair.count == 4 && pair.bias == 0)
        #expect(abs((pair.upperLimit ?? 0) - 1.96 * (8.0 / 3).squareRoot()) < 1e-9)
        #expect(pair.points[1] == [3, -2])
        // Variances 0, 2, 0, 2 over squared means 1 + 9 + 36 + 25.
        #expect(abs((agreement.readerError ?? 0) - (4.0 / 71).squareRoot()) < 1e-9)
    }

    @Test func whatTellsNothingHasNoNumber() {
        #expect(CountAgreement([]).intraclassCorrelation == nil)
        let empty = CountAgreement(readings([[0, 0], [0, 0]]))
        #expect(empty.count == 2 && empty.readerError == nil && empty.intraclassCorrelation == nil)
        #expect(CountAgreement(readings([[3, 4]])).pairs.first?.upperLimit == nil)
    }
}
