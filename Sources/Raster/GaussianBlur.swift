internal import Foundation

extension Plane where Element == Float {
    /// The plane smoothed by a Gaussian of standard deviation `sigma` pixels, edges mirrored.
    public func blurred(sigma: Double) -> Plane {
        guard sigma > 0, width > 0, height > 0 else { return self }
        let radius = max(1, Int((3 * sigma).rounded(.up)))
        var kernel = (-radius...radius).map { Float(exp(-Double($0 * $0) / (2 * sigma * sigma))) }
        let total = kernel.reduce(0, +)
        kernel = kernel.map { $0 / total }
        func mirrored(_ i: Int, _ n: Int) -> Int {
            var i = i
            while i < 0 || i >= n { i = i < 0 ? -i - 1 : 2 * n - 1 - i }
            return i
        }
        let columns = (-radius..<(width + radius)).map { mirrored($0, width) }
        let rows = (-radius..<(height + radius)).map { mirrored($0, height) }
        var line = [Float](repeating: 0, count: width + 2 * radius)
        var horizontal = [Float](repeating: 0, count: values.count)
        var result = horizontal
        // In both directions the inner loop runs along a row, over neighbours in memory.
        values.withUnsafeBufferPointer { source in
            horizontal.withUnsafeMutableBufferPointer { target in
                line.withUnsafeMutableBufferPointer { line in
                    for y in 0..<height {
                        for (x, column) in columns.enumerated() { line[x] = source[y * width + column] }
                        for (k, weight) in kernel.enumerated() {
                            for x in 0..<width { target[y * width + x] += weight * line[x + k] }
                        }
                    }
                }
            }
        }
        horizontal.withUnsafeBufferPointer { source in
            result.withUnsafeMutableBufferPointer { target in
                for y in 0..<height {
                    for (k, weight) in kernel.enumerated() {
                        let row = rows[y + k] * width
                        for x in 0..<width { target[y * width + x] += weight * source[row + x] }
                    }
                }
            }
        }
        return Plane(width: width, height: height, values: result)
    }
}
