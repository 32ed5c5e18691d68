public import LabelSuperResolution
public import WholeSlide

/// The coarse regions of a slide as a grid of classes on the working pixels.
public struct RegionGrid: Sendable {
    /// A place in the grid.
    public struct Position: Hashable, Sendable {
        public let column: Int
        public let row: Int
    }

    public let columns: Int
    public let rows: Int
    /// The side of a region, working pixels.
    public let workingSide: Double
    /// Top left corner of position (0, 0), working pixels.
    let originX: Double
    let originY: Double
    /// -1 where there is none.
    private var classes: [Int16]
    /// Regions between the squares of the grid, whose label is for other pixels: they are left out.
    public private(set) var offGrid = 0

    /// Regions with less tissue than this are blank and left out.
    static let leastTissue = 0.5
    /// Regions farther off the grid than this share of their side are left out: their label is for other pixels.
    static let mostOffset = 0.1
    /// Regions likelier to be necrotic than this are left out.
    static let mostNecrosis = 0.5

    /// - Parameters:
    ///   - heatmap: the coarse labels, checked to fit the slide.
    ///   - tissue: blank regions get no class.
    public init(heatmap: Heatmap, frame: WorkingFrame, tissue: TissueMask, coarseClasses: CoarseClasses) {
        let side = heatmap.level0Side
        let corners = heatmap.corners
        let (firstX, firstY) = (corners.least.x, corners.least.y)
        let (right, bottom) = (corners.most.x, corners.most.y)
        workingSide = frame.working(side)
        // The first region may be a partial one at an edge: the grid is where most regions are.
        let left = firstX + RegionGrid.shift(heatmap, \.level0X, from: firstX, side: side)
        let top = firstY + RegionGrid.shift(heatmap, \.level0Y, from: firstY, side: side)
        originX = frame.working(left)
        originY = frame.working(top)
        columns = Int(((right - left) / side).rounded()) + 1
        rows = Int(((bottom - top) / side).rounded()) + 1
        classes = [Int16](repeating: -1, count: columns * rows)
        for region in heatmap.regions where region.necrosis <= RegionGrid.mostNecrosis {
            // A region hanging over the edge is partly no tissue at all.
            guard region.level0X >= 0, region.level0Y >= 0, region.level0X + side <= frame.level0(Double(frame.width)),
                region.level0Y + side <= frame.level0(Double(frame.height)),
                tissue.tissueFraction(level0X: region.level0X, level0Y: region.level0Y, width: side, height: side)
                    >= RegionGrid.leastTissue
            else { continue }
            let column = Int(((region.level0X - left) / side).rounded())
            let row = Int(((region.level0Y - top) / side).rounded())
            guard (0..<columns).contains(column), (0..<rows).contains(row) else {
                offGrid += 1
                continue
            }
            // Partial regions at an edge, and grids that begin anew, lie between the squares.
            guard abs((region.level0X - left) / side - Double(column)) <= RegionGrid.mostOffset,
                abs((region.level0Y - top) / side - Double(row)) <= RegionGrid.mostOffset
            else {
                offGrid += 1
                continue
            }
            classes[row * columns + column] = Int16(coarseClasses.index(of: region.probability))
        }
    }

    /// By how much most places lie past the grid that begins at the first of them; 0 where they are on it.
    private static func shift(
        _ heatmap: Heatmap, _ axis: KeyPath<Heatmap.Region, Double>, from first: Double, side: Double
    ) -> Double {
        // A part of them tells as much.
        let stride = max(1, heatmap.regions.count / 1_000_000)
        let rests = Swift.stride(from: 0, to: heatmap.regions.count, by: stride).map { index in
            let steps = (heatmap.regions[index][keyPath: axis] - first) / side
            return (steps - steps.rounded()) * side
        }.sorted()
        let middle = rests.isEmpty ? 0 : rests[rests.count / 2]
        return abs(middle) > mostOffset * side ? middle : 0
    }

    /// The class at a position; nil where there is none, it is blank, or the position lies outside.
    public subscript(_ position: Position) -> Int? {
        get {
            guard position.column >= 0, position.row >= 0, position.column < columns, position.row < rows else {
                return nil
            }
            let known = classes[position.row * columns + position.column]
            return known < 0 ? nil : Int(known)
        }
        set { classes[position.row * columns + position.column] = newValue.map { Int16($0) } ?? -1 }
    }

    /// Every position that has a class, row by row.
    public var known: [(position: Position, coarseClass: Int)] {
        classes.enumerated().compactMap { index, known in
            known < 0 ? nil : (Position(column: index % columns, row: index / columns), Int(known))
        }
    }

    /// The working pixel at which the region at a position begins.
    public func corner(_ position: Position) -> (x: Int, y: Int) {
        (
            Int((originX + Double(position.column) * workingSide).rounded()),
            Int((originY + Double(position.row) * workingSide).rounded())
        )
    }
}
