import Foundation
import Raster
import Testing

struct CurvatureTests {
    private func plane(_ value: (Double, Double) -> Double) -> Plane<Float> {
        Plane(
            width: 81, height: 81,
            values: (0..<(81 * 81)).map { Float(value(Double($0 % 81) - 40, Double($0 / 81) - 40)) })
    }

    /// A Gaussian summit of deviation s, smoothed by σ, is s²/(s² + σ²) high and has the curvature height/(s² + σ²) in each direction.
    @Test func aRoundSummitHasItsClosedForm() {
        let (s, sigma) = (6.0, 4.0)
        let round = plane { exp(-($0 * $0 + $1 * $1) / (2 * s * s)) }.roundness(sigma: sigma)
        let total = s * s + sigma * sigma
        let expected = sigma * sigma * (s * s / total) / total
        #expect(abs(Double(round[40, 40]) - expected) < 0.02 * expected)
    }

    /// Along a ridge nothing falls off, whichever way it runs.
    @Test(arguments: [0.0, 0.5, 1.1]) func aRidgeIsNotRound(angle: Double) {
        let ridge = plane { x, y in
            let across = x * cos(angle) + y * sin(angle)
            return exp(-across * across / 18)
        }.roundness(sigma: 4)
        let summit = plane { exp(-($0 * $0 + $1 * $1) / 18) }.roundness(sigma: 4)
        #expect(abs(ridge[40, 40]) < 0.03 * summit[40, 40])
    }

    @Test func scannersDifferencesLeaveAnEvenImageEven() {
        let image = RGBImage(width: 40, height: 30, filledWith: (200, 120, 30))
        #expect(image.blurred(sigma: 1.3) == image)
        #expect(image.toned(exponent: 1) == image)
        #expect(image.toned(exponent: 2)[3, 3] == (157, 56, 4))
        var sign = -1.0
        let noisy = image.noisy(deviation: 5) {
            sign = -sign
            return sign
        }
        #expect(noisy[0, 0] == (205, 115, 35) && noisy[1, 0] == (195, 125, 25))
    }
}
