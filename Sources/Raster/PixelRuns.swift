/// The pixels of a mask within a rectangle as horizontal runs, row by row, each pixel with two values.
///
/// Its size grows with the mask's pixels, not with the rectangle: a gigapixel slide's lymphocytes fit where its planes would not.
public struct PixelRuns: Sendable {
    struct Run {
        let columns: Range<Int32>
        /// Where its pixels begin in `values`; a rectangle is no larger than a tile.
        let offset: Int32
    }

    /// The rectangle's first column.
    public let x: Int
    /// First and second value of each pixel, interleaved, run by run.
    private(set) var values: [UInt8] = []
    private var runs: [Run] = []
    /// Where each row's runs end.
    private var ends: [Int] = []

    public init(x: Int) {
        self.x = x
    }

    public var rowCount: Int { ends.count }

    /// The runs of a row, from left to right.
    func runs(ofRow row: Int) -> ArraySlice<Run> {
        runs[(row == 0 ? 0 : ends[row - 1])..<ends[row]]
    }

    /// Adds the next row.
    ///
    /// - Parameters:
    ///   - first: the first value of each pixel; a pixel belongs to the mask where it is at least `threshold`.
    ///   - second: the second value of a pixel, counted from the rectangle's first column; asked for in the mask only.
    public mutating func appendRow(first: UnsafeBufferPointer<UInt8>, threshold: UInt8, second: (Int) -> UInt8) {
        var column = 0
        while column < first.count {
            guard first[column] >= threshold else {
                column += 1
                continue
            }
            let start = column
            let offset = Int32(values.count)
            while column < first.count, first[column] >= threshold {
                values.append(first[column])
                values.append(second(column))
                column += 1
            }
            runs.append(Run(columns: Int32(x + start)..<Int32(x + column), offset: offset))
        }
        ends.append(runs.count)
    }

    /// Gives back what the lists have taken beyond their length while they grew: they wait for their row to be finished.
    public mutating func shrink() {
        func exact<Element>(_ list: [Element]) -> [Element] {
            [Element](unsafeUninitializedCapacity: list.count) { buffer, count in
                _ = buffer.initialize(from: list)
                count = list.count
            }
        }
        values = exact(values)
        runs = exact(runs)
    }
}
