internal import Foundation

/// What scanners differ in: focus, tone curve and noise.
extension RGBImage {
    /// Smoothed by a Gaussian of standard deviation `sigma` pixels, edges mirrored.
    public func blurred(sigma: Double) -> RGBImage {
        guard sigma > 0 else { return self }
        var result = self
        for channel in 0..<3 {
            let plane = Plane(
                width: width, height: height,
                values: (0..<(width * height)).map { Float(pixels[3 * $0 + channel]) }
            ).blurred(sigma: sigma)
            for i in 0..<(width * height) { result.pixels[3 * i + channel] = UInt8(plane.values[i] + 0.5) }
        }
        return result
    }

    /// Each value v of 0 … 1 as v^exponent; the exponent is above 0.
    public func toned(exponent: Double) -> RGBImage {
        precondition(exponent > 0, "a tone curve rises")
        let table = (0..<256).map { UInt8((255 * pow(Double($0) / 255, exponent)).rounded()) }
        return RGBImage(width: width, height: height, pixels: pixels.map { table[Int($0)] })
    }

    /// With noise added to each value: `deviation` levels of 255 times a finite number that `normal` draws.
    public func noisy(deviation: Double, normal: () -> Double) -> RGBImage {
        guard deviation > 0 else { return self }
        return RGBImage(
            width: width, height: height,
            pixels: pixels.map { UInt8(max(0, min(255, (Double($0) + deviation * normal()).rounded()))) })
    }
}
