public import Failures
public import Foundation

/// A connected set of pixels as horizontal runs, each pixel with two values.
public struct PixelComponent: Equatable, Sendable {
    /// The pixels `columns` of one row; their values begin at `offset` in ``PixelComponent/values``.
    public struct Run: Equatable, Sendable {
        public let row: Int32
        public let columns: Range<Int32>
        public let offset: Int32
    }

    public internal(set) var runs: [Run]
    /// First and second value of each pixel, interleaved, run by run.
    public internal(set) var values: [UInt8]

    public var pixelCount: Int { values.count / 2 }

    /// The smallest rectangle that holds all runs.
    public var bounds: (columns: Range<Int32>, rows: Range<Int32>) {
        guard let first = runs.first else { return (0..<0, 0..<0) }
        var (columns, rows) = (first.columns, first.row..<(first.row + 1))
        for run in runs {
            columns = min(columns.lowerBound, run.columns.lowerBound)..<max(columns.upperBound, run.columns.upperBound)
            rows = min(rows.lowerBound, run.row)..<max(rows.upperBound, run.row + 1)
        }
        return (columns, rows)
    }

    /// The component cut at the lines of a grid, for what must look at it as an image: a thin ring may span a slide.
    ///
    /// - Parameter side: of a window, in pixels of the plane; its lines do not depend on where the component lies.
    public func windows(side: Int) -> [PixelComponent] {
        var windows: [[Int]: PixelComponent] = [:]
        for run in runs {
            var start = Int(run.columns.lowerBound)
            while start < Int(run.columns.upperBound) {
                let column = start / side
                let end = min(Int(run.columns.upperBound), (column + 1) * side)
                let first = Int(run.offset) + 2 * (start - Int(run.columns.lowerBound))
                let key = [Int(run.row) / side, column]
                var window = windows.removeValue(forKey: key) ?? PixelComponent(runs: [], values: [])
                window.runs.append(
                    Run(row: run.row, columns: Int32(start)..<Int32(end), offset: Int32(window.values.count)))
                window.values.append(contentsOf: values[first..<(first + 2 * (end - start))])
                windows[key] = window
                start = end
            }
        }
        return windows.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    /// Whether it grew beyond ``StreamingComponents/mostPixels``; its pixels are not kept then.
    public internal(set) var isOversized = false

    mutating func dropIfOversized() {
        guard isOversized || pixelCount > StreamingComponents.mostPixels else { return }
        isOversized = true
        runs = []
        values = []
    }
}

/// Finds the 4-connected components of a mask that arrives row by row, and lets go of each as soon as it is closed.
///
/// Memory holds the components that touch the last row, never the whole mask: a component that may still grow waits at
/// the frontier, the rest is returned. The result does not depend on how the rows were grouped into calls.
public struct StreamingComponents: Sendable {
    private var open: [Int: PixelComponent] = [:]
    private var parent: [Int: Int] = [:]
    private var frontier: [(columns: Range<Int32>, component: Int)] = []
    private var nextIdentifier = 0
    /// The row that the next call brings.
    public private(set) var nextRow: Int
    /// Components so far that grew beyond ``mostPixels`` and were dropped.
    public private(set) var oversizedCount = 0

    /// The largest component that is kept: a square millimetre at 0.5 µm without a gap is no cluster of cells but a network
    /// or a threshold gone wrong, and must not take memory with the size of the slide.
    public static let mostPixels = 4_000_000

    public init(firstRow: Int = 0) {
        nextRow = firstRow
    }

    /// Takes the next row and returns the components that it closes, in order of their first pixel.
    ///
    /// - Parameters:
    ///   - parts: rectangles that share no pixel, from left to right; runs that meet at a border are one.
    ///   - partRow: the row within the parts; a part with fewer rows has none there.
    public mutating func append(_ parts: [PixelRuns], row partRow: Int) -> [PixelComponent] {
        let row = Int32(nextRow)
        nextRow += 1
        var current: [(columns: Range<Int32>, component: Int)] = []
        var above = 0
        for part in parts where partRow < part.rowCount {
            for run in part.runs(ofRow: partRow) {
                let columns = run.columns
                while above < frontier.count, frontier[above].columns.upperBound <= columns.lowerBound { above += 1 }
                var owner: Int?
                if let last = current.last, last.columns.upperBound == columns.lowerBound {
                    owner = root(of: last.component)
                }
                let continues = owner != nil
                var candidate = above
                while candidate < frontier.count, frontier[candidate].columns.lowerBound < columns.upperBound {
                    let root = root(of: frontier[candidate].component)
                    owner = owner.map { merge($0, root) } ?? root
                    candidate += 1
                }
                let component = owner ?? makeComponent()
                let first = Int(run.offset)
                extend(
                    component, row: row, columns: columns,
                    values: part.values[first..<(first + 2 * columns.count)])
                if continues, let last = current.popLast() {
                    current.append((last.columns.lowerBound..<columns.upperBound, component))
                } else {
                    current.append((columns, component))
                }
            }
        }
        return advance(to: current)
    }

    /// Closes what is still open: call it after the last row.
    public mutating func finish() -> [PixelComponent] {
        advance(to: [])
    }

    /// Jumps over rows without any pixel of the mask.
    public mutating func skip(toRow row: Int) -> [PixelComponent] {
        guard row > nextRow else { return [] }
        nextRow = row
        return advance(to: [])
    }

    private mutating func advance(to current: [(columns: Range<Int32>, component: Int)]) -> [PixelComponent] {
        let stillOpen = Set(current.map { root(of: $0.component) })
        var closed: [PixelComponent] = []
        for run in frontier {
            let root = root(of: run.component)
            guard !stillOpen.contains(root), let component = open.removeValue(forKey: root) else { continue }
            if component.isOversized { oversizedCount += 1 } else { closed.append(component) }
        }
        frontier = current.map { ($0.columns, root(of: $0.component)) }
        // Every link has been followed by now; only the roots of the frontier are asked for again.
        parent.removeAll(keepingCapacity: true)
        return closed.sorted {
            ($0.runs[0].row, $0.runs[0].columns.lowerBound) < ($1.runs[0].row, $1.runs[0].columns.lowerBound)
        }
    }

    private mutating func makeComponent() -> Int {
        nextIdentifier += 1
        open[nextIdentifier] = PixelComponent(runs: [], values: [])
        return nextIdentifier
    }

    private func root(of identifier: Int) -> Int {
        var identifier = identifier
        while let next = parent[identifier] { identifier = next }
        return identifier
    }

    private mutating func merge(_ a: Int, _ b: Int) -> Int {
        let (a, b) = (root(of: a), root(of: b))
        guard a != b, let first = open[a], let second = open[b] else { return a }
        // The smaller is copied into the larger, so that a long chain of merges stays linear.
        let (keep, drop) = first.values.count >= second.values.count ? (a, b) : (b, a)
        guard let dropped = open.removeValue(forKey: drop) else { return a }
        let base = Int32(open[keep]?.values.count ?? 0)
        open[keep]?.values.append(contentsOf: dropped.values)
        open[keep]?.runs.append(
            contentsOf: dropped.runs.map {
                PixelComponent.Run(row: $0.row, columns: $0.columns, offset: $0.offset + base)
            })
        if dropped.isOversized { open[keep]?.isOversized = true }
        open[keep]?.dropIfOversized()
        parent[drop] = keep
        return keep
    }

    private mutating func extend(_ identifier: Int, row: Int32, columns: Range<Int32>, values: ArraySlice<UInt8>) {
        // One look-up a run, and changed in place: a run has tens of pixels.
        guard let index = open.index(forKey: identifier), !open.values[index].isOversized else { return }
        let offset = Int32(open.values[index].values.count)
        open.values[index].runs.append(PixelComponent.Run(row: row, columns: columns, offset: offset))
        open.values[index].values.append(contentsOf: values)
        open.values[index].dropIfOversized()
    }
}

extension StreamingComponents {
    /// The open components as bytes, for a progress mark in the store; little-endian 32-bit numbers.
    public var frontierData: Data {
        var data = Data()
        func put(_ value: Int) {
            withUnsafeBytes(of: Int32(truncatingIfNeeded: value).littleEndian) { data.append(contentsOf: $0) }
        }
        put(nextRow)
        put(oversizedCount)
        put(frontier.count)
        for run in frontier {
            put(Int(run.columns.lowerBound))
            put(Int(run.columns.upperBound))
            put(run.component)
        }
        put(open.count)
        for (identifier, component) in open.sorted(by: { $0.key < $1.key }) {
            put(identifier)
            put(component.isOversized ? 1 : 0)
            put(component.runs.count)
            put(component.values.count)
            for run in component.runs {
                put(Int(run.row))
                put(Int(run.columns.lowerBound))
                put(Int(run.columns.upperBound))
                put(Int(run.offset))
            }
            data.append(contentsOf: component.values)
        }
        return data
    }

    /// Goes on from a progress mark.
    ///
    /// - Throws: ``RasterError`` where the bytes are cut off.
    public init(frontierData data: Data) throws(RasterError) {
        var position = data.startIndex
        func take() throws(RasterError) -> Int {
            guard position + 4 <= data.endIndex else {
                throw RasterError(.mismatch, "a progress mark is cut off")
            }
            let value = data[position..<(position + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            position += 4
            return Int(Int32(bitPattern: value))
        }
        self.init(firstRow: try take())
        oversizedCount = try take()
        for _ in 0..<max(0, try take()) {
            let (lower, upper, component) = (try take(), try take(), try take())
            guard lower < upper else { throw RasterError(.mismatch, "a progress mark is malformed") }
            frontier.append((Int32(lower)..<Int32(upper), component))
        }
        for _ in 0..<max(0, try take()) {
            let identifier = try take()
            let isOversized = try take() == 1
            let runCount = try take()
            let valueCount = try take()
            var runs: [PixelComponent.Run] = []
            for _ in 0..<max(0, runCount) {
                let row = Int32(try take())
                let lower = Int32(try take())
                let upper = Int32(try take())
                let offset = Int32(try take())
                guard lower < upper, offset >= 0, Int(offset) + 2 * Int(upper - lower) <= valueCount else {
                    throw RasterError(.mismatch, "a progress mark is malformed")
                }
                runs.append(PixelComponent.Run(row: row, columns: lower..<upper, offset: offset))
            }
            guard valueCount >= 0, position + valueCount <= data.endIndex else {
                throw RasterError(.mismatch, "a progress mark is cut off")
            }
            open[identifier] = PixelComponent(
                runs: runs, values: [UInt8](data[position..<(position + valueCount)]), isOversized: isOversized)
            position += valueCount
            nextIdentifier = max(nextIdentifier, identifier)
        }
    }
}
