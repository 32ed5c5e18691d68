internal import GeoRaster
internal import LabelSuperResolution

/// The coarse cells of all training images by class, and which of them are held out.
struct CellIndex: Sendable {
    /// A cell of an image.
    struct Cell: Sendable {
        let image: Int
        /// Its middle, pixels of the image.
        let x: Int
        let y: Int
    }

    /// Cells to train on by class; a class may be empty.
    let training: [[Cell]]
    let validation: [[Cell]]
    /// Squares of this many cells a side are held out together, so that training and validation are different places.
    private static let superblock = 8
    /// With fewer squares than this none is given away.
    private static let fewestSuperblocks = 40
    private let heldOut: Set<Square>
    private let squareSide: [Int]

    private struct Square: Hashable {
        let image: Int
        let column: Int
        let row: Int
    }

    /// - Throws: where a raster cannot be read.
    init(_ images: [CoarseCells], classes: Int, seed: UInt64) throws {
        var all = [[Cell]](repeating: [], count: classes)
        var sides: [Int] = []
        for (number, image) in images.enumerated() {
            typealias Sum = (count: Int, x: Int, y: Int)
            try image.addUp(Sum(0, 0, 0)) { strip in
                { sum, pixel in
                    sum.count += 1
                    sum.x += pixel % strip.width
                    sum.y += strip.row + pixel / strip.width
                }
            } merge: { sum, other in
                sum = (sum.count + other.count, sum.x + other.x, sum.y + other.y)
            } done: { _, known, sum in
                guard let known, sum.count >= image.leastCellPixels else { return }
                all[known].append(Cell(image: number, x: sum.x / sum.count, y: sum.y / sum.count))
            }
            sides.append(CellIndex.superblock * max(1, Int(Double(image.cellPixels).squareRoot())))
        }
        squareSide = sides
        func square(of cell: Cell) -> Square {
            Square(image: cell.image, column: cell.x / sides[cell.image], row: cell.y / sides[cell.image])
        }
        var order: [Square] = []
        var members: [Square: [Int]] = [:]
        for (known, cells) in all.enumerated() {
            for cell in cells {
                let square = square(of: cell)
                if members[square] == nil { order.append(square) }
                members[square, default: []].append(known)
            }
        }
        var taken = Set<Square>()
        if order.count >= CellIndex.fewestSuperblocks {
            var generator = SeededGenerator(seed: seed, stream: .max)
            order.shuffle(using: &generator)
            let totals = all.map(\.count)
            var gone = [Int](repeating: 0, count: classes)
            for square in order where taken.count < order.count / 10 {
                var after = gone
                for known in members[square] ?? [] { after[known] += 1 }
                // A rare class often sits in a single place: it keeps four cells of five.
                guard zip(after, totals).allSatisfy({ Double($0) <= 0.2 * Double($1) }) else { continue }
                gone = after
                taken.insert(square)
            }
        }
        heldOut = taken
        training = all.map { cells in cells.filter { !taken.contains(square(of: $0)) } }
        validation = all.map { cells in cells.filter { taken.contains(square(of: $0)) } }
    }

    /// Whether the cell around a pixel is held out.
    func isHeldOut(image: Int, x: Int, y: Int) -> Bool {
        !heldOut.isEmpty
            && heldOut.contains(Square(image: image, column: x / squareSide[image], row: y / squareSide[image]))
    }
}
