import Foundation
import Raster
import Testing

@testable import Lymphocytes
@testable import Studies

struct NucleusFeatureTests {
    /// A dark ellipse on pale ground.
    private func patch(_ a: Double, _ b: Double) -> RGBImage {
        var image = RGBImage(width: 60, height: 60)
        for y in 0..<60 {
            for x in 0..<60 {
                let (dx, dy) = ((Double(x) - 29.5) / a, (Double(y) - 29.5) / b)
                image[x, y] = dx * dx + dy * dy <= 1 ? (90, 60, 140) : (230, 190, 215)
            }
        }
        return image
    }

    private func feature(_ name: String, _ values: [Double]) -> Double {
        values[NucleusFeatures.names.firstIndex(of: name) ?? 0]
    }

    @Test func levelSetFindsADiscAndItsMeasures() throws {
        let features = NucleusFeatures.features(of: patch(8, 8), micronsPerPixel: 0.5)
        #expect(features.count == NucleusFeatures.names.count)
        // π · 4² µm²
        #expect(abs(feature("area", features) / 50.3 - 1) < 0.12)
        #expect(feature("circularity", features) > 0.85)
        #expect(feature("eccentricity", features) < 0.35)
        #expect(feature("solidity", features) > 0.9)
        #expect(feature("ring contrast haematoxylin", features) > 0.1)
    }

    @Test func ellipsesAreEccentric() throws {
        let features = NucleusFeatures.features(of: patch(11, 5.5), micronsPerPixel: 0.5)
        // √(1 − ¼)
        #expect(abs(feature("eccentricity", features) - 0.866) < 0.06)
    }

    @Test func anEmptyPatchGivesZeros() {
        let features = NucleusFeatures.features(of: RGBImage(width: 60, height: 60), micronsPerPixel: 0.5)
        #expect(features == [Double](repeating: 0, count: NucleusFeatures.names.count))
    }
}
