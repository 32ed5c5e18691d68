import Foundation
import GraticuleTesting
import LabelSuperResolution
import Raster
import Testing

@testable import Lymphocytes
@testable import Studies

/// Networks used otherwise than `segment` uses them.
struct InferenceVariantTests {
    /// Log-odds from a pixel and the one to its right: no symmetry.
    private struct Leaning: SegmentationNetwork {
        let engineName = "test"
        let gridMultiple = 1
        let halo = 1
        let labels = 2
        func scores(_ batch: ImageBatch) throws -> LabelScores {
            let logOdds = batch.values.indices.map { index in
                let isLast = index % batch.width == batch.width - 1
                return batch.values[index] - (isLast ? 0 : 2 * batch.values[index + 1])
            }
            return LabelScores(of: batch, logOdds: logOdds)
        }
    }

    private func image(width: Int, height: Int) -> ImageBatch {
        var generator = SeededGenerator(seed: 5)
        return ImageBatch(
            count: 1, channels: 1, height: height, width: width,
            values: (0..<width * height).map { _ in Float.random(in: -1...1, using: &generator) })
    }

    /// In an image without edges nearby each neighbour is seen by two of the eight orientations.
    @Test func turnsAverageProbabilitiesOverAllOrientations() throws {
        let batch = image(width: 5, height: 3)
        let found = try TurnedNetwork(network: Leaning()).logOdds(batch)
        let (x, y) = (2, 1)
        func value(_ x: Int, _ y: Int) -> Double { Double(batch.values[y * 5 + x]) }
        let neighbours = [value(x + 1, y), value(x - 1, y), value(x, y + 1), value(x, y - 1)]
        let p = neighbours.map { 1 / (1 + exp(-(value(x, y) - 2 * $0))) }.reduce(0, +) / 4
        #expect(abs(Double(found[y * 5 + x]) - log(p / (1 - p))) < 1e-5)
    }

    @Test func turningTheImageTurnsTheResult() throws {
        let batch = image(width: 6, height: 4)
        let found = Plane(width: 6, height: 4, values: try TurnedNetwork(network: Leaning()).logOdds(batch))
        for orientation in Orientation.all {
            let turned = Plane(width: 6, height: 4, values: batch.values).turned(orientation)
            let again = try TurnedNetwork(network: Leaning()).logOdds(
                ImageBatch(
                    count: 1, channels: 1, height: turned.height, width: turned.width, values: turned.values))
            for (a, b) in zip(again, found.turned(orientation).values) { #expect(abs(a - b) < 1e-5) }
        }
    }

    private struct Identity: SegmentationNetwork {
        let engineName = "test"
        let gridMultiple = 4
        let halo = 8
        let labels = 2
        func scores(_ batch: ImageBatch) throws -> LabelScores { LabelScores(of: batch, logOdds: batch.values) }
    }

    @Test func aDiscsMeanIsOfProbabilitiesInsideTheImage() throws {
        let network = DiscMeanNetwork(network: Identity(), radius: 2)
        #expect(network.halo == 12)
        let batch = image(width: 9, height: 8)
        let found = try network.logOdds(batch)
        for (x, y) in [(4, 4), (0, 0), (8, 3), (1, 7)] {
            var (sum, count) = (0.0, 0.0)
            for row in 0..<8 {
                for column in 0..<9 where (row - y) * (row - y) + (column - x) * (column - x) <= 4 {
                    sum += 1 / (1 + exp(-Double(batch.values[row * 9 + column])))
                    count += 1
                }
            }
            #expect(abs(Double(found[y * 9 + x]) - log(sum / (count - sum))) < 1e-5, "at \(x), \(y)")
        }
    }

    /// Log-odds that are the haematoxylin channel.
    private struct Hematoxylin: SegmentationNetwork {
        let engineName = "test"
        let gridMultiple = 1
        let halo = 0
        let labels = 2
        func scores(_ batch: ImageBatch) throws -> LabelScores {
            let pixels = batch.height * batch.width
            return LabelScores(of: batch, logOdds: Array(batch.values[3 * pixels..<4 * pixels]))
        }
    }

    @Test func stainsAreScaledBeforeTheNetworkSeesThem() throws {
        var picture = RGBImage(width: 2, height: 1)
        picture.pixels = [120, 80, 160, 200, 170, 210]
        let encoding = InputEncoding.rgbStains
        var values: [Float] = []
        encoding.append(picture, to: &values)
        let batch = ImageBatch(count: 1, channels: 5, height: 1, width: 2, values: values)
        func density(_ factor: Float) throws -> [Float] {
            try RestainedNetwork(network: Hematoxylin(), encoding: encoding, factors: (factor, 1)).logOdds(batch)
                .map { ($0 + 0.5) / encoding.stainScale }
        }
        let (same, more) = (try density(1), try density(1.5))
        for (a, b) in zip(same, more) { #expect(abs(b - 1.5 * a) < 0.01) }
        #expect(abs(same[0] - (values[6] + 0.5) / 2) < 0.005)
    }

    /// Of a phantom's tissue, in optical densities that stains have.
    @Test func stainLevelsAreOfTissue() throws {
        let levels = try StainLevels(
            slide: PhantomFixture.folder.appendingPathComponent("phantom-1.svs"), micronsPerPixel: 0.5)
        #expect((0.2...1.5).contains(levels.hematoxylin) && (0.05...1).contains(levels.eosin))
    }
}
