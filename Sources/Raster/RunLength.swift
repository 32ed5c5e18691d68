public import Failures

/// A binary mask as COCO run lengths: column by column, runs of 0 and 1 in turn, beginning with 0.
public struct RunLengthMask: Equatable, Sendable {
    public let width: Int
    public let height: Int
    /// Lengths of the runs, first of zeros (may be 0), then ones, and so on.
    public let counts: [Int]

    public init(_ mask: Plane<Bool>) {
        width = mask.width
        height = mask.height
        var counts: [Int] = []
        var value = false
        var run = 0
        for x in 0..<mask.width {
            for y in 0..<mask.height {
                if mask[x, y] != value {
                    counts.append(run)
                    run = 0
                    value.toggle()
                }
                run += 1
            }
        }
        counts.append(run)
        self.counts = counts
    }

    /// No slide is wider, in pixels.
    public static let largestSide = 1 << 24

    /// Reads pycocotools' compressed form.
    ///
    /// - Throws: ``RasterError`` where the text is cut off or its runs do not fill the mask.
    public init(width: Int, height: Int, compressed: [UInt8]) throws(RasterError) {
        var counts: [Int] = []
        var index = 0
        while index < compressed.count {
            var value = 0
            var shift = 0
            var more = true
            while more {
                guard index < compressed.count, shift < 60 else {
                    throw RasterError(.mismatch, "a run-length mask is cut off")
                }
                let byte = Int(compressed[index]) - 48
                guard (0..<64).contains(byte) else { throw RasterError(.mismatch, "a run-length mask is malformed") }
                value |= (byte & 0x1f) << shift
                more = byte & 0x20 != 0
                index += 1
                shift += 5
                if !more, byte & 0x10 != 0 { value |= -1 << shift }
            }
            if counts.count > 2 { value &+= counts[counts.count - 2] }
            counts.append(value)
        }
        // Sizes and runs come from a file: neither may overflow.
        guard (0...RunLengthMask.largestSide).contains(width), (0...RunLengthMask.largestSide).contains(height),
            counts.allSatisfy({ (0...(width * height)).contains($0) }), counts.reduce(0, +) == width * height
        else {
            throw RasterError(.mismatch, "a run-length mask does not fill \(width)×\(height) pixels")
        }
        self.width = width
        self.height = height
        self.counts = counts
    }

    /// pycocotools' compressed form: LEB128-like, six bits a character from '0', differences to the run two before.
    public var compressed: [UInt8] {
        var bytes: [UInt8] = []
        for (index, count) in counts.enumerated() {
            var value = index > 2 ? count - counts[index - 2] : count
            var more = true
            while more {
                var byte = value & 0x1f
                value >>= 5
                more = byte & 0x10 != 0 ? value != -1 : value != 0
                if more { byte |= 0x20 }
                bytes.append(UInt8(byte + 48))
            }
        }
        return bytes
    }

    /// The same pixels in a larger mask, with the left upper corner at (`x`, `y`): run lengths of the whole, without its pixels.
    ///
    /// It must fit into the larger mask.
    public func placed(x: Int, y: Int, inWidth: Int, inHeight: Int) -> RunLengthMask {
        precondition(x >= 0 && y >= 0 && x + width <= inWidth && y + height <= inHeight, "the mask lies inside")
        var result: [Int] = []
        var end = 0
        var position = 0
        for (index, count) in counts.enumerated() {
            defer { position += count }
            guard index % 2 == 1 else { continue }
            // A run may go over several columns, between which lies the rest of the larger mask.
            var first = position
            while first < position + count {
                let column = first / height
                let last = min(position + count, (column + 1) * height)
                let start = (x + column) * inHeight + y + first % height
                if start == end, !result.isEmpty {
                    result[result.count - 1] += last - first
                } else {
                    result.append(start - end)
                    result.append(last - first)
                }
                end = start + last - first
                first = last
            }
        }
        result.append(inWidth * inHeight - end)
        return RunLengthMask(width: inWidth, height: inHeight, counts: result)
    }

    private init(width: Int, height: Int, counts: [Int]) {
        self.width = width
        self.height = height
        self.counts = counts
    }

    /// The number of pixels that are set.
    public var pixelCount: Int { counts.enumerated().reduce(0) { $1.offset % 2 == 1 ? $0 + $1.element : $0 } }

    /// The pixels again.
    public var mask: Plane<Bool> {
        var plane = Plane(width: width, height: height, repeating: false)
        var position = 0
        for (index, count) in counts.enumerated() {
            if index % 2 == 1 {
                for i in position..<(position + count) { plane[i / height, i % height] = true }
            }
            position += count
        }
        return plane
    }
}
