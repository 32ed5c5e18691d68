public import LabelSuperResolution

/// The coarse blocks of an image as a grid of classes on its working pixels.
public struct BlockGrid: Sendable {
    /// A place in the grid.
    public struct Position: Hashable, Sendable {
        public let column: Int
        public let row: Int

        public init(column: Int, row: Int) {
            self.column = column
            self.row = row
        }
    }

    public let columns: Int
    public let rows: Int
    /// The side of a block, working pixels; need not be whole.
    public let workingSide: Double
    /// Top left corner of position (0, 0), working pixels.
    public let originX: Double
    public let originY: Double
    /// -1 where there is none.
    private var classes: [Int16]
    /// Expectations of blocks' own, by their place in `classes`.
    private var expectations: [Int: BlockExpectation] = [:]
    /// Blocks that lay between the squares of the grid, whose label is for other pixels: they are left out.
    public var offGrid = 0

    /// A grid without any class.
    public init(columns: Int, rows: Int, workingSide: Double, originX: Double, originY: Double) {
        self.columns = columns
        self.rows = rows
        self.workingSide = workingSide
        self.originX = originX
        self.originY = originY
        classes = [Int16](repeating: -1, count: columns * rows)
    }

    /// The class at a position; nil where there is none, or the position lies outside.
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

    /// Gives a block an expectation of its own.
    ///
    /// - Parameter drawnAs: the class with which it is drawn and held out.
    public mutating func set(_ expectation: BlockExpectation, drawnAs coarseClass: Int, at position: Position) {
        self[position] = coarseClass
        expectations[position.row * columns + position.column] = expectation
    }

    /// What is known of the block at a position: its own expectation where it has one, else its class.
    public func label(_ position: Position) -> BlockLabel {
        guard let known = self[position] else { return .unknown }
        let own = expectations.isEmpty ? nil : expectations[position.row * columns + position.column]
        return own.map(BlockLabel.expectation) ?? .coarseClass(known)
    }

    /// Every position that has a class, row by row.
    public var known: [(position: Position, coarseClass: Int)] {
        classes.enumerated().compactMap { index, known in
            known < 0 ? nil : (Position(column: index % columns, row: index / columns), Int(known))
        }
    }

    /// The working pixel at which the block at a position begins.
    public func corner(_ position: Position) -> (x: Int, y: Int) {
        (
            Int((originX + Double(position.column) * workingSide).rounded()),
            Int((originY + Double(position.row) * workingSide).rounded())
        )
    }
}
