import Failures
import Foundation
import Testing
import Torch

@testable import Baselines
@testable import LabelSuperResolution

struct MixtureTests {
    @Test func tellsWhichComponentBearsTheLabel() {
        // Class 0 has no label and only the first component; class 1 is half label and holds both components alike.
        let labels = MixturePosterior.labelPosterior(
            occurrence: [[10, 0, 0], [5, 5, 0], [0, 0, 0]], shares: [0, 0.5, 0.9], rounds: 20)
        #expect(labels[0] < 0.02)
        #expect(labels[1] > 0.95)
    }

    /// Bright pixels are half of class 1 and none of class 0: the fitted posterior finds them, and the fit ends.
    @Test func fittingEndsAndFindsTheLabel() throws {
        struct Halves: BlockSource {
            let identity = "halves"
            func batch(step: Int, count: Int, seed: UInt64) throws -> BlockBatch {
                let layout = BlockLayout(margin: 4, blocksPerSide: 1, blockSide: 24)
                var generator = SeededGenerator(seed: seed, stream: UInt64(step))
                var input: [Float] = []
                for image in 0..<count {
                    for _ in 0..<32 {
                        for x in 0..<32 {
                            let bright: Float = image % 2 == 1 && x >= 16 ? 1 : 0
                            input.append(bright + 0.1 * Float(generator.nextGaussian()))
                        }
                    }
                }
                return BlockBatch(
                    layout: layout, channels: 1, input: input, blocks: (0..<count).map { .coarseClass($0 % 2) })
            }
            func validationBatches() throws -> [BlockBatch] { [] }
        }
        var settings = MixturePosterior.Settings()
        (settings.components, settings.side, settings.windows, settings.iterations) = (4, 3, 300, 8)
        let priors = try LabelPriors.binary(label: "x", means: [0, 0.5], deviations: [0.01, 0.05], origin: "test")
        let posterior = try MixturePosterior.fit(
            source: Halves(), channels: [0], priors: priors, settings: settings, seed: 1)
        let image = (0..<1024).map { $0 % 32 >= 16 ? Float(1) : 0 }
        let logOdds = try MixtureNetwork(posterior).logOdds(
            ImageBatch(count: 1, channels: 1, height: 32, width: 32, values: image))
        #expect(logOdds[16 * 32 + 26] > 0 && logOdds[16 * 32 + 6] < 0)
    }

    @Test func mixtureFindsTwoClusters() {
        var generator = SeededGenerator(seed: 5)
        let samples = (0..<400).map { index in
            let centre: [Float] = index % 4 == 0 ? [3, -1] : [-2, 0.5]
            return centre.map { $0 + 0.3 * Float(generator.nextGaussian()) }
        }
        var mixture = GaussianMixture(samples, components: 2, leastVariance: 1e-4, using: &generator)
        for _ in 0..<30 { mixture.improve(samples) }
        let order = mixture.means.indices.sorted { mixture.means[$0][0] < mixture.means[$1][0] }
        #expect(abs(mixture.means[order[0]][0] + 2) < 0.1 && abs(mixture.means[order[1]][0] - 3) < 0.1)
        #expect(abs(exp(mixture.logWeights[order[1]]) - 0.25) < 0.02)
        #expect(abs(1 / mixture.precisions[order[0]][1] - 0.09) < 0.03)
        let shares = mixture.responsibilities([3, -1])
        #expect(shares[order[1]] > 0.999)
    }

    /// The engine's convolutions give what the mixture's own formula does.
    @Test func engineAgreesWithTheFormula() throws {
        var generator = SeededGenerator(seed: 9)
        let width = 9
        func draw(_ range: ClosedRange<Float>) -> [[Float]] {
            (0..<3).map { _ in (0..<width).map { _ in Float.random(in: range, using: &generator) } }
        }
        let posterior = MixturePosterior(
            channels: [1], side: 3, means: draw(-1...1), precisions: draw(0.5...3),
            logWeights: [log(0.2), log(0.5), log(0.3)], labels: [0.1, 0.9, 0.4])
        let (side, half) = (12, 6)
        let image = (0..<(2 * side * side)).map { _ in Float.random(in: -1...1, using: &generator) }
        let found = try MixtureNetwork(posterior).logOdds(
            ImageBatch(count: 1, channels: 2, height: side, width: side, values: image))
        let layout = BlockLayout(margin: 0, blocksPerSide: 1, blockSide: side)
        let small = BlockBatch.halved(
            BlockBatch(
                layout: layout, channels: 2, input: image, blocks: [.unknown]), channels: [1])
        func logOdds(_ x: Int, _ y: Int) -> Double {
            let window = (0..<9).map { small[(y - 1 + $0 / 3) * half + x - 1 + $0 % 3] }
            let scores = (0..<3).map { s -> Double in
                Double(posterior.logWeights[s])
                    + (0..<9).reduce(0.0) {
                        let d = Double(window[$1] - posterior.means[s][$1])
                        let precision = Double(posterior.precisions[s][$1])
                        return $0 + 0.5 * (log(precision) - d * d * precision)
                    }
            }
            let weights = scores.map { exp($0) }
            let p = (0..<3).reduce(0.0) { $0 + weights[$1] * posterior.labels[$1] } / weights.reduce(0, +)
            return log(p / (1 - p))
        }
        // Bilinear: pixel (2x + 1, 2y + 1) lies three quarters towards (x, y), a quarter towards the next ones.
        let (x, y) = (2, 3)
        let wanted =
            0.5625 * logOdds(x, y) + 0.1875 * (logOdds(x + 1, y) + logOdds(x, y + 1)) + 0.0625 * logOdds(x + 1, y + 1)
        #expect(abs(Double(found[(2 * y + 1) * side + 2 * x + 1]) - wanted) < 1e-3)
    }

    @Test func blendAddsWeightedLogOdds() throws {
        struct Constant: SegmentationNetwork {
            let value: Float
            let engineName = "test"
            let gridMultiple: Int
            let halo: Int
            let labels = 2
            func scores(_ batch: ImageBatch) throws -> LabelScores { LabelScores(of: batch, logOdds: [value]) }
        }
        let blend = BlendedNetwork(
            Constant(value: 2, gridMultiple: 4, halo: 20), Constant(value: -2, gridMultiple: 2, halo: 30), weight: 0.25)
        #expect(try blend.logOdds(ImageBatch(count: 1, channels: 1, height: 1, width: 1, values: [0])) == [1])
        #expect(blend.gridMultiple == 4 && blend.halo == 32)
    }
}

struct SupportVectorMachineTests {
    /// A ring around a cluster: no line tells them apart, a radial kernel does.
    @Test func separatesARingFromItsMiddle() throws {
        var generator = SeededGenerator(seed: 3)
        let features = (0..<120).map { index -> [Double] in
            let angle = Double.random(in: 0..<(2 * .pi), using: &generator)
            let radius =
                index % 3 == 0
                ? Double.random(in: 0...0.8, using: &generator) : Double.random(in: 2...3, using: &generator)
            return [100 + radius * cos(angle), 0.01 * radius * sin(angle)]
        }
        let truth = features.indices.map { $0 % 3 == 0 }
        let machine = try SupportVectorMachine(features, isPositive: truth)
        let wrong = features.indices.filter { (machine.decision(features[$0]) > 0) != truth[$0] }
        #expect(wrong.isEmpty)
        #expect(machine.decision([100, 0]) > 0)
        #expect(machine.decision([102.5, 0]) < 0)
    }

    @Test func refusesOneClassAndUnequalRows() {
        #expect(throws: MethodError.self) { try SupportVectorMachine([[1], [2]], isPositive: [true, true]) }
        #expect(throws: MethodError.self) { try SupportVectorMachine([[1], [2, 3]], isPositive: [true, false]) }
        #expect(throws: MethodError.self) { try SupportVectorMachine([[1], [.nan]], isPositive: [true, false]) }
    }

    @Test func foldsHoldEverySampleOnceAndBothClassesAlike() {
        let truth = (0..<40).map { $0 < 12 }
        let validation = CrossValidation(isPositive: truth, folds: 4, seed: 1)
        for fold in 0..<4 {
            #expect(validation.folds.indices.filter { validation.folds[$0] == fold && truth[$0] }.count == 3)
            #expect(validation.folds.filter { $0 == fold }.count == 10)
        }
        let fields = (0..<40).map { "f\($0 / 5)" }
        let grouped = CrossValidation(isPositive: truth, groups: fields, folds: 4, seed: 1)
        for field in Set(fields) {
            #expect(Set(grouped.folds.indices.filter { fields[$0] == field }.map { grouped.folds[$0] }).count == 1)
        }
        #expect((0..<4).allSatisfy { fold in grouped.folds.count { $0 == fold } == 10 })
        let scores = validation.scores { training, testing in
            #expect(Set(training).isDisjoint(with: testing))
            return testing.map(Double.init)
        }
        #expect(scores == (0..<40).map(Double.init))
    }
}

struct PatchClassifierTests {
    private func batch(_ step: Int, labelled: Bool = true) -> PatchBatch {
        var generator = SeededGenerator(seed: 4, stream: UInt64(step))
        var values: [Float] = []
        var labels: [Int8] = []
        for index in 0..<8 {
            // A bright blob in the middle, or none.
            let isPositive = index % 2 == 0
            for y in 0..<16 {
                for x in 0..<16 {
                    let inside = isPositive && abs(x - 8) < 3 && abs(y - 8) < 3
                    values.append((inside ? 1 : -1) + 0.3 * Float(generator.nextGaussian()))
                }
            }
            labels.append(isPositive ? 1 : 0)
        }
        return PatchBatch(count: 8, channels: 1, side: 16, values: values, labels: labelled ? labels : [])
    }

    @Test func learnsWhatIsPlain() throws {
        let classifier = try PatchClassifier(channels: 1, seed: 2)
        try classifier.train(steps: 25) { batch($0) }
        let scores = try classifier.logOdds(batch(99))
        #expect(scores.indices.allSatisfy { (scores[$0] > 0) == ($0 % 2 == 0) })
    }

    @Test func autoencoderLearnsAndKeepsMostPlacesDark() throws {
        let autoencoder = try SparseAutoencoder(channels: 1, seed: 2)
        let losses = try autoencoder.train(steps: 40) { batch($0, labelled: false) }
        #expect(losses[35...].reduce(0, +) < 0.7 * losses[..<5].reduce(0, +))
        #expect(try autoencoder.activity(of: batch(77)) < 0.1)
        // Its encoder is what the classifier starts from.
        let classifier = try PatchClassifier(channels: 1, pretrained: autoencoder, seed: 5)
        try classifier.train(steps: 15) { batch($0) }
        let scores = try classifier.logOdds(batch(98))
        #expect(scores.indices.allSatisfy { (scores[$0] > 0) == ($0 % 2 == 0) })
    }
}

struct CalibrationTests {
    @Test func calibrationErrorIsZeroForFrequenciesAndKnownOtherwise() {
        // Of five samples at 0.2 one is positive, of five at 0.8 four.
        let truth = [true, false, false, false, false, true, true, true, true, false]
        let p = [Double](repeating: 0.2, count: 5) + [Double](repeating: 0.8, count: 5)
        #expect(Reliability(probabilities: p, isPositive: truth).expectedCalibrationError < 1e-12)
        let sure = Reliability(probabilities: p.map { $0 > 0.5 ? 1 : 0 }, isPositive: truth)
        #expect(abs(sure.expectedCalibrationError - 0.2) < 1e-12)
        #expect(sure.bins.map(\.count) == [5, 5])
    }

    private struct Echo: SegmentationNetwork {
        let engineName = "test"
        let gridMultiple = 1
        let halo = 0
        let labels = 2
        func scores(_ batch: ImageBatch) throws -> LabelScores { LabelScores(of: batch, logOdds: batch.values) }
    }

    /// Blocks of 2×2 pixels with the given log-odds.
    private func histograms(_ values: [Float], classes: [Int?], priors: LabelPriors) throws -> BlockHistograms {
        try BlockHistograms(
            Echo(),
            batches: [
                BlockBatch(
                    layout: BlockLayout(margin: 0, blocksPerSide: 1, blockSide: 2), channels: 1, input: values,
                    blocks: classes.map { BlockLabel($0) })
            ], priors: priors)
    }

    /// Blocks whose share of the label is what log-odds divided by 2 say: the temperature is 2.
    @Test func temperatureIsFoundFromBlocksAlone() throws {
        let values: [Float] = [-6, -4, 2, -3, -5, 1, 3, 4]
        func share(_ range: Range<Int>) -> Double {
            range.reduce(0) { $0 + 1 / (1 + exp(-Double(values[$1]) / 2)) } / 4
        }
        let priors = try LabelPriors.binary(
            label: "x", means: [share(0..<4), share(4..<8)], deviations: [0.05, 0.05], origin: "test")
        let found = TemperatureScaling.fit(try histograms(values, classes: [0, 1], priors: priors))
        #expect(abs(found / 2 - 1) < 0.03)
        // Class 1 is off by as much as it is with one block, however many blocks it has.
        let off = try LabelPriors.binary(
            label: "x", means: [share(0..<4), 0.5], deviations: [0.05, 0.05], origin: "test")
        let one = TemperatureScaling.fit(try histograms(values, classes: [0, 1], priors: off))
        let many = TemperatureScaling.fit(
            try histograms(values + values[4...] + values[4...], classes: [0, 1, 1, 1], priors: off))
        #expect(one == many)
        #expect(TemperatureScaling.fit(try histograms([], classes: [], priors: priors)) == 1)
    }

    /// Class 0 holds a quarter of false pixels and is common; class 1 holds three quarters of true ones and is rare.
    @Test func thresholdFindsAsManyPixelsAsRegionsHold() throws {
        let values: [Float] = [-3, -3, -3, -0.5, -3, -1, 0.5, 0.7]
        let priors = try LabelPriors.binary(label: "x", means: [0, 0.75], deviations: [0.1, 0.1], origin: "test")
        let blocks = try histograms(values, classes: [0, 1], priors: priors)
        func logOdds(_ regions: [Int], temperature: Double = 1) throws -> Double {
            let p = try #require(
                AreaThreshold.fit(blocks, regions: regions, temperature: temperature))
            return log(p / (1 - p))
        }
        // One region each: three pixels are expected, and the false one is among the three most likely.
        #expect(abs(try logOdds([1, 1]) + 0.5) < 0.02)
        // Four of class 1 for each of class 0: twelve are expected, and the false one and eight are not enough.
        #expect(abs(try logOdds([1, 4]) + 1) < 0.02)
        // A temperature changes the number, not what is found.
        #expect(abs(try logOdds([1, 1], temperature: 0.25) + 2) < 0.08)
        // Two blocks of class 1 stand for its regions no more than one does: twice the blocks is not twice the tissue.
        let more = try histograms(values + values[4...], classes: [0, 1, 1], priors: priors)
        let again = try #require(AreaThreshold.fit(more, regions: [1, 1], temperature: 1))
        #expect(abs(log(again / (1 - again)) + 0.5) < 0.02)
        // Blocks without a class do not count.
        let unknown = try histograms(values + [5, 5, 5, 5], classes: [0, 1, nil], priors: priors)
        let same = try #require(AreaThreshold.fit(unknown, regions: [1, 1], temperature: 1))
        #expect(abs(log(same / (1 - same)) + 0.5) < 0.02)
        // Never beyond probabilities of 0.2 and 0.8 before the temperature.
        let sure = try histograms([4, 5, 4, 5], classes: [1], priors: priors)
        let most = try #require(AreaThreshold.fit(sure, regions: [1, 1], temperature: 1))
        #expect(abs(most - 0.8) < 1e-9)
        let high = try LabelPriors.binary(label: "x", means: [0.9, 1], deviations: [0.1, 0.1], origin: "test")
        let many = try histograms(values, classes: [0, 1], priors: high)
        let least = try #require(AreaThreshold.fit(many, regions: [1, 1], temperature: 1))
        #expect(abs(least - 0.2) < 1e-9)
        #expect(
            AreaThreshold.fit(try histograms([], classes: [], priors: priors), regions: [1, 1], temperature: 1) == nil)
    }
}
