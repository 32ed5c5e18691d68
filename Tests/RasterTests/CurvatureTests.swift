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

    /// Rows and columns are not exchanged, and the border invents no summit.
    @Test func anOblongPlaneHasItsSummitWhereItIs() {
        let (width, height) = (60, 30)
        let values = (0..<(width * height)).map { i in
            let (x, y) = (Double(i % width) - 44, Double(i / width) - 12)
            return Float(exp(-(x * x + y * y) / 32))
        }
        let round = Plane(width: width, height: height, values: values).roundness(sigma: 3)
        let highest = round.values.indices.max { round.values[$0] < round.values[$1] }
        #expect(highest == 12 * width + 44)
        let slope = Plane(width: width, height: height, values: (0..<(width * height)).map { Float($0 % width) })
        #expect(slope.roundness(sigma: 3).values.allSatisfy { $0 < 0.05 * 60 })
    }

    @Test func scannersDifferencesLeaveAnEvenImageEven() {
        let image = RGBImage(width: 40, height: 30, filledWith: (200, 120, 30))
        #expect(image.blurred(sigma: 1.3) == image)
        var dot = image
        dot[20, 15] = (0, 120, 30)
        let soft = dot.blurred(sigma: 1.3)
        // 1 / (2πσ²) of 200 levels in the middle, the rest around it.
        #expect(abs(Int(soft[20, 15].0) - 181) <= 1 && soft[20, 15].1 == 120)
        #expect(soft[22, 15].0 < 200 && soft[22, 15].0 > soft[20, 15].0)
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
