/// Segmentation of the object in the middle of an image by a level set.
public enum LevelSet {
    /// Morphological active contours without edges (Chan & Vese 2001; Márquez-Neila et al. 2014): starting from a disc in the
    /// middle, the contour moves to where the values on both sides differ most from each other's mean.
    ///
    /// - Parameters:
    ///   - values: bright inside, such as haematoxylin.
    ///   - radius: of the disc, pixels.
    ///   - reach: pixels farther than this from the middle stay outside.
    /// - Returns: the part that holds the middle or lies nearest to it; empty where the contour vanished.
    public static func object(
        in values: Plane<Float>, radius: Double, reach: Double, iterations: Int = 40
    ) -> Plane<Bool> {
        let (width, height) = (values.width, values.height)
        func distance(_ x: Int, _ y: Int) -> Double {
            let (dx, dy) = (Double(x) - Double(width) / 2, Double(y) - Double(height) / 2)
            return (dx * dx + dy * dy).squareRoot()
        }
        var inside = Plane(width: width, height: height, repeating: false)
        var allowed = inside
        for y in 0..<height {
            for x in 0..<width {
                inside[x, y] = distance(x, y) <= radius
                allowed[x, y] = distance(x, y) <= reach
            }
        }
        for iteration in 0..<iterations {
            let (mean, outer) = means(values, inside: inside, allowed: allowed)
            let before = inside
            for y in 1..<(height - 1) {
                for x in 1..<(width - 1) where allowed[x, y] {
                    // Only where the contour passes does the level set change.
                    guard
                        before[x - 1, y] != before[x + 1, y] || before[x, y - 1] != before[x, y + 1]
                            || before[x - 1, y] != before[x, y] || before[x, y - 1] != before[x, y]
                    else { continue }
                    let (a, b) = (values[x, y] - mean, values[x, y] - outer)
                    inside[x, y] = a * a < b * b
                }
            }
            inside = smoothed(inside, dilatingFirst: iteration % 2 == 0)
            if inside.values == before.values { break }
        }
        return nearestPart(of: inside)
    }

    private static func means(
        _ values: Plane<Float>, inside: Plane<Bool>, allowed: Plane<Bool>
    ) -> (inner: Float, outer: Float) {
        var (inner, outer): ((Float, Float), (Float, Float)) = ((0, 0), (0, 0))
        for i in values.values.indices where allowed.values[i] {
            if inside.values[i] {
                inner = (inner.0 + values.values[i], inner.1 + 1)
            } else {
                outer = (outer.0 + values.values[i], outer.1 + 1)
            }
        }
        return (inner.0 / max(1, inner.1), outer.0 / max(1, outer.1))
    }

    /// A majority vote of each pixel's neighbourhood, which does what mean curvature does to the contour; ties go to the
    /// inside and the outside in turn, so that neither grows by them.
    private static func smoothed(_ mask: Plane<Bool>, dilatingFirst: Bool) -> Plane<Bool> {
        var result = mask
        for y in 1..<(mask.height - 1) {
            for x in 1..<(mask.width - 1) {
                var count = 0
                for dy in -1...1 { for dx in -1...1 where mask[x + dx, y + dy] { count += 1 } }
                if count >= 6 || (dilatingFirst && count == 5) { result[x, y] = true }
                if count <= 3 || (!dilatingFirst && count == 4) { result[x, y] = false }
            }
        }
        return result
    }

    private static func nearestPart(of mask: Plane<Bool>) -> Plane<Bool> {
        let (width, height) = (mask.width, mask.height)
        var nearest: (square: Int, index: Int)?
        for (index, isInside) in mask.values.enumerated() where isInside {
            let (dx, dy) = (index % width - width / 2, index / width - height / 2)
            let square = dx * dx + dy * dy
            if nearest.map({ square < $0.square }) ?? true { nearest = (square, index) }
        }
        var part = Plane(width: width, height: height, repeating: false)
        guard let nearest else { return part }
        var stack = [nearest.index]
        part.values[nearest.index] = true
        while let index = stack.popLast() {
            let (x, y) = (index % width, index / width)
            for (nx, ny) in [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
            where nx >= 0 && ny >= 0 && nx < width && ny < height && mask[nx, ny] && !part[nx, ny] {
                part[nx, ny] = true
                stack.append(ny * width + nx)
            }
        }
        return part
    }
}
