extension Plane where Element == Bool {
    /// The Euclidean distance, in pixels, of each pixel of the mask to the nearest pixel outside it.
    ///
    /// What lies beyond the plane is outside. Exact, in time linear in the pixels (Felzenszwalb & Huttenlocher 2012).
    public func distanceToBackground() -> Plane<Float> {
        // One row and column of background around the plane stand for everything beyond it.
        let (w, h) = (width + 2, height + 2)
        let far: Float = 1e12
        var squared = [Float](repeating: 0, count: w * h)
        for y in 0..<height {
            for x in 0..<width where self[x, y] { squared[(y + 1) * w + x + 1] = far }
        }
        var line = [Float](repeating: 0, count: Swift.max(w, h))
        var parabola = LowerEnvelope(capacity: Swift.max(w, h))
        for x in 0..<w {
            for y in 0..<h { line[y] = squared[y * w + x] }
            parabola.transform(&line, count: h)
            for y in 0..<h { squared[y * w + x] = line[y] }
        }
        for y in 0..<h {
            for x in 0..<w { line[x] = squared[y * w + x] }
            parabola.transform(&line, count: w)
            for x in 0..<w { squared[y * w + x] = line[x] }
        }
        var result = Plane<Float>(width: width, height: height, repeating: 0)
        for y in 0..<height {
            for x in 0..<width { result[x, y] = squared[(y + 1) * w + x + 1].squareRoot() }
        }
        return result
    }
}

/// The lower envelope of parabolas rooted at a line of samples.
private struct LowerEnvelope {
    private var roots: [Int]
    private var bounds: [Float]
    private var output: [Float]

    init(capacity: Int) {
        roots = [Int](repeating: 0, count: capacity)
        bounds = [Float](repeating: 0, count: capacity + 1)
        output = [Float](repeating: 0, count: capacity)
    }

    mutating func transform(_ line: inout [Float], count: Int) {
        guard count > 0 else { return }
        var last = 0
        roots[0] = 0
        bounds[0] = -.infinity
        bounds[1] = .infinity
        for q in 1..<max(1, count) {
            var crossing = intersection(line, roots[last], q)
            while crossing <= bounds[last] {
                last -= 1
                crossing = intersection(line, roots[last], q)
            }
            last += 1
            roots[last] = q
            bounds[last] = crossing
            bounds[last + 1] = .infinity
        }
        var k = 0
        for q in 0..<count {
            while bounds[k + 1] < Float(q) { k += 1 }
            let offset = Float(q - roots[k])
            output[q] = offset * offset + line[roots[k]]
        }
        for q in 0..<count { line[q] = output[q] }
    }

    private func intersection(_ line: [Float], _ p: Int, _ q: Int) -> Float {
        ((line[q] + Float(q * q)) - (line[p] + Float(p * p))) / Float(2 * (q - p))
    }
}
