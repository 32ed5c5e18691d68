extension Plane where Element == Bool {
    /// The mask with its holes filled; holes do not reach the plane's edge and are 8-connected, as the mask is 4-.
    ///
    /// - Parameter pixels: larger holes stay.
    public func withoutHoles(ofAtMost pixels: Int = .max) -> Plane<Bool> {
        var result = self
        var isSeen = [Bool](repeating: false, count: values.count)
        var stack: [Int] = []
        /// Follows what is not set from a pixel, and calls with each.
        func flood(from start: Int, _ body: (Int) -> Void) {
            guard !values[start], !isSeen[start] else { return }
            isSeen[start] = true
            stack.append(start)
            while let i = stack.popLast() {
                body(i)
                let (x, y) = (i % width, i / width)
                for ny in Swift.max(0, y - 1)...Swift.min(height - 1, y + 1) {
                    for nx in Swift.max(0, x - 1)...Swift.min(width - 1, x + 1) {
                        let next = ny * width + nx
                        if !values[next], !isSeen[next] {
                            isSeen[next] = true
                            stack.append(next)
                        }
                    }
                }
            }
        }
        guard width > 0, height > 0 else { return self }
        for x in 0..<width {
            flood(from: x) { _ in }
            flood(from: (height - 1) * width + x) { _ in }
        }
        for y in 0..<height {
            flood(from: y * width) { _ in }
            flood(from: y * width + width - 1) { _ in }
        }
        var hole: [Int] = []
        for i in values.indices where !values[i] && !isSeen[i] {
            hole.removeAll(keepingCapacity: true)
            flood(from: i) { hole.append($0) }
            if hole.count <= pixels { for pixel in hole { result.values[pixel] = true } }
        }
        return result
    }

    /// The smallest part that holds every set pixel, and where it was; an empty mask stays as it is.
    public func trimmed() -> (mask: Plane<Bool>, x: Int, y: Int) {
        var (left, right, top, bottom) = (width, -1, height, -1)
        for y in 0..<height {
            for x in 0..<width where values[y * width + x] {
                left = Swift.min(left, x)
                right = Swift.max(right, x)
                top = Swift.min(top, y)
                bottom = y
            }
        }
        guard right >= left, right - left + 1 < width || bottom - top + 1 < height else { return (self, 0, 0) }
        return (cropped(x: left, y: top, width: right - left + 1, height: bottom - top + 1), left, top)
    }

    /// The largest 4-connected component; the first of several equal ones.
    public func largestComponent() -> Plane<Bool> {
        var seen = Plane<Bool>(width: width, height: height, repeating: false)
        var best: [Int] = []
        for start in values.indices where values[start] && !seen.values[start] {
            var component = [start]
            seen.values[start] = true
            var next = 0
            while next < component.count {
                let (x, y) = (component[next] % width, component[next] / width)
                next += 1
                for (nx, ny) in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)] {
                    guard nx >= 0, ny >= 0, nx < width, ny < height else { continue }
                    let i = ny * width + nx
                    if values[i], !seen.values[i] {
                        seen.values[i] = true
                        component.append(i)
                    }
                }
            }
            if component.count > best.count { best = component }
        }
        var result = Plane<Bool>(width: width, height: height, repeating: false)
        for i in best { result.values[i] = true }
        return result
    }
}
