extension Plane where Element == Float {
    /// How sharply the plane, smoothed by `sigma` pixels, falls off from each pixel in the direction in which it falls off least.
    ///
    /// The negative of the Hessian's larger eigenvalue, times σ² so that it does not depend on the scale, in the plane's units:
    /// positive on summits and highest on round ones of a radius of about σ · √2, about 0 on ridges, negative on passes and in
    /// valleys. Edges are mirrored by the smoothing and repeated by the differences.
    ///
    /// - Parameter sigma: above 0.
    public func roundness(sigma: Double) -> Plane {
        precondition(sigma > 0, "curvature needs a scale")
        let smooth = blurred(sigma: sigma)
        let scale = Float(sigma * sigma)
        var result = Plane(width: width, height: height, repeating: 0)
        for y in 0..<height {
            let (above, below) = (Swift.max(0, y - 1), Swift.min(height - 1, y + 1))
            for x in 0..<width {
                let (left, right) = (Swift.max(0, x - 1), Swift.min(width - 1, x + 1))
                let center = 2 * smooth[x, y]
                let xx = smooth[left, y] + smooth[right, y] - center
                let yy = smooth[x, above] + smooth[x, below] - center
                let xy =
                    (smooth[right, below] + smooth[left, above] - smooth[right, above] - smooth[left, below]) / 4
                let difference = (xx - yy) / 2
                result[x, y] =
                    -scale * ((xx + yy) / 2 + (difference * difference + xy * xy).squareRoot())
            }
        }
        return result
    }
}
