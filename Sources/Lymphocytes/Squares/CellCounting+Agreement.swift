public import LabelSuperResolution

extension CellCounting {
    /// Fewer squares counted twice tell less of readers than what is known of them in general.
    static let fewestTwice = 10
    /// No reader is surer, and none less sure, than this.
    static let possibleErrors = 0.05...0.6

    /// The readers' error as squares that were counted twice show it; what it was before where they are few.
    public mutating func learnReaderError(from squares: [SquareReadings]) {
        let agreement = CellCounting.agreement(squares)
        guard agreement.count >= CellCounting.fewestTwice, let found = agreement.readerError else { return }
        readerError = min(CellCounting.possibleErrors.upperBound, max(CellCounting.possibleErrors.lowerBound, found))
    }

    /// How well readers agree on the squares that several counted.
    public static func agreement(_ squares: [SquareReadings]) -> CountAgreement {
        CountAgreement(squares.map { $0.counts.map { (reader: $0.reader, count: $0.lymphocytes) } })
    }
}
