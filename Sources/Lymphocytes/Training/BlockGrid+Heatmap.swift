public import CoarseTraining
public import WholeSlide

/// The coarse regions of a slide, from its heatmap.
extension BlockGrid {
    /// Regions with less tissue than this are blank and left out.
    static let leastTissue = 0.5
    /// Regions farther off the grid than this share of their side are left out: their label is for other pixels.
    static let mostOffset = 0.1
    /// Regions likelier to be necrotic than this are left out.
    static let mostNecrosis = 0.5

    /// - Parameters:
    ///   - heatmap: the coarse labels, checked to fit the slide.
    ///   - tissue: blank regions get no class.
    public init(heatmap: Heatmap, frame: WorkingFrame, tissue: TissueMask, coarseClasses: ProbabilityClasses) {
        let side = heatmap.level0Side
        let corners = heatmap.corners
        let (firstX, firstY) = (corners.least.x, corners.least.y)
        let (right, bottom) = (corners.most.x, corners.most.y)
        // The first region may be a partial one at an edge: the grid is where most regions are.
        let left = firstX + BlockGrid.shift(heatmap, \.level0X, from: firstX, side: side)
        let top = firstY + BlockGrid.shift(heatmap, \.level0Y, from: firstY, side: side)
        self.init(
            columns: Int(((right - left) / side).rounded()) + 1, rows: Int(((bottom - top) / side).rounded()) + 1,
            workingSide: frame.working(side), originX: frame.working(left), originY: frame.working(top))
        for region in heatmap.regions where region.necrosis <= BlockGrid.mostNecrosis {
            // A region hanging over the edge is partly no tissue at all.
            guard region.level0X >= 0, region.level0Y >= 0, region.level0X + side <= frame.level0(Double(frame.width)),
                region.level0Y + side <= frame.level0(Double(frame.height)),
                tissue.tissueFraction(level0X: region.level0X, level0Y: region.level0Y, width: side, height: side)
                    >= BlockGrid.leastTissue
            else { continue }
            let column = Int(((region.level0X - left) / side).rounded())
            let row = Int(((region.level0Y - top) / side).rounded())
            guard (0..<columns).contains(column), (0..<rows).contains(row) else {
                offGrid += 1
                continue
            }
            // Partial regions at an edge, and grids that begin anew, lie between the squares.
            guard abs((region.level0X - left) / side - Double(column)) <= BlockGrid.mostOffset,
                abs((region.level0Y - top) / side - Double(row)) <= BlockGrid.mostOffset
            else {
                offGrid += 1
                continue
            }
            self[Position(column: column, row: row)] = coarseClasses.index(of: region.probability)
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
}
