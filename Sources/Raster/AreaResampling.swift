/// Averages the pixels of a finer image over the area of each pixel of a coarser one.
///
/// The coarser grid is anchored at the origin of the whole image, not at the origin of the request: a pixel's value
/// depends only on where it lies, so that tiles read separately join without a seam.
public struct AreaResampling: Sendable {
    /// The side of a coarse pixel, in fine pixels.
    public let scale: Double

    public init(scale: Double) {
        precondition(scale > 0, "a scale is positive")
        self.scale = scale
    }

    /// The fine pixels that the coarse pixels `start ..< start + count` cover.
    public func finePixels(start: Int, count: Int) -> Range<Int> {
        let first = Int((Double(start) * scale + 1e-6).rounded(.down))
        let last = Int((Double(start + count) * scale - 1e-6).rounded(.up))
        return first..<max(first + 1, last)
    }

    /// Resamples to `width` × `height` coarse pixels whose first is (`x`, `y`).
    ///
    /// - Parameter fine: the fine pixels of exactly `finePixels(start: x, count: width)` by
    ///   `finePixels(start: y, count: height)`.
    public func resampled(_ fine: RGBImage, x: Int, y: Int, width: Int, height: Int) -> RGBImage {
        if abs(scale - 1) < 1e-9, fine.width == width, fine.height == height { return fine }
        let columns = weights(start: x, count: width)
        let rows = weights(start: y, count: height)
        var narrow = [Float](repeating: 0, count: 3 * width * fine.height)
        fine.pixels.withUnsafeBufferPointer { source in
            narrow.withUnsafeMutableBufferPointer { target in
                for row in 0..<fine.height {
                    for (column, taps) in columns.enumerated() {
                        var sum: (Float, Float, Float) = (0, 0, 0)
                        var i = 3 * (row * fine.width + taps.first)
                        for weight in taps.weights {
                            sum.0 += weight * Float(source[i])
                            sum.1 += weight * Float(source[i + 1])
                            sum.2 += weight * Float(source[i + 2])
                            i += 3
                        }
                        let j = 3 * (row * width + column)
                        (target[j], target[j + 1], target[j + 2]) = sum
                    }
                }
            }
        }
        var result = RGBImage(width: width, height: height)
        result.pixels.withUnsafeMutableBufferPointer { target in
            narrow.withUnsafeBufferPointer { source in
                for (row, taps) in rows.enumerated() {
                    for i in 0..<(3 * width) {
                        var sum: Float = 0
                        var j = taps.first * 3 * width + i
                        for weight in taps.weights {
                            sum += weight * source[j]
                            j += 3 * width
                        }
                        target[row * 3 * width + i] = UInt8(max(0, min(255, sum + 0.5)))
                    }
                }
            }
        }
        return result
    }

    private struct Taps {
        let first: Int
        let weights: [Float]
    }

    private func weights(start: Int, count: Int) -> [Taps] {
        let origin = finePixels(start: start, count: count).lowerBound
        return (start..<(start + count)).map { index in
            let from = Double(index) * scale
            let to = Double(index + 1) * scale
            let covered = finePixels(start: index, count: 1)
            let raw = covered.map { pixel in max(0, min(to, Double(pixel + 1)) - max(from, Double(pixel))) }
            let total = raw.reduce(0, +)
            return Taps(first: covered.lowerBound - origin, weights: raw.map { Float($0 / total) })
        }
    }
}
