import Foundation
import Testing
import Torch

@testable import LabelSuperResolution

struct UNetTests {
    @Test(arguments: [[4], [4, 6], [4, 4, 6], [3, 3, 3, 3]]) func nothingBeyondTheRadiusMatters(widths: [Int]) throws {
        let architecture = UNetArchitecture(
            inputChannels: 1, labels: 2, widths: widths, convolutionsPerLevel: 2, batchNormMomentum: 0.1)
        let network = try UNet(architecture, seed: 3)
        let radius = architecture.receptiveRadius
        let multiple = architecture.gridMultiple
        let side = (2 * radius + 8 * multiple) / multiple * multiple
        var generator = SeededGenerator(seed: 1)
        let values = (0..<(side * side)).map { _ in Float(generator.nextGaussian()) }
        var reached = 0
        // Every phase of the pooling grid.
        for shift in 0..<multiple {
            let place = side / 2 / multiple * multiple + shift
            var changed = values
            changed[place * side + place] += 100
            let (a, b) = try (scores(network, values, side), scores(network, changed, side))
            for y in 0..<side {
                for x in 0..<side where a[y * side + x] != b[y * side + x] {
                    reached = max(reached, abs(x - place), abs(y - place))
                }
            }
        }
        #expect(reached <= radius)
        #expect(reached > radius / 2, "the formula is not far too wide")
    }

    private func scores(_ network: UNet, _ values: [Float], _ side: Int) throws -> [Float] {
        try withoutGradients {
            try network(Tensor.from(values, shape: [1, 1, side, side]), isTraining: false).values()
        }
    }

    @Test func anImageDoesNotDependOnItsNeighboursInTheBatch() throws {
        let configuration = TrainingPreset.fast.configuration(inputChannels: 2, labels: 2, seed: 1)
        let network = TorchSegmentationNetwork([try UNet(configuration.architecture, seed: 1)])
        var generator = SeededGenerator(seed: 2)
        let one = (0..<(2 * 16 * 16)).map { _ in Float(generator.nextGaussian()) }
        let other = one.map { $0 * 50 }
        let alone = try network.logOdds(ImageBatch(count: 1, channels: 2, height: 16, width: 16, values: one))
        let both = try network.logOdds(ImageBatch(count: 2, channels: 2, height: 16, width: 16, values: one + other))
        #expect(zip(alone, both).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    @Test func anEnsembleAveragesProbabilities() throws {
        let configuration = TrainingPreset.fast.configuration(inputChannels: 1, labels: 2, seed: 1)
        let members = try [1, 2].map { try UNet(configuration.architecture, seed: $0) }
        let batch = ImageBatch(count: 1, channels: 1, height: 8, width: 8, values: (0..<64).map { Float($0 % 7) - 3 })
        let each = try members.map { try TorchSegmentationNetwork([$0]).logOdds(batch) }
        let both = try TorchSegmentationNetwork(members).logOdds(batch)
        for i in both.indices {
            let mean = each.map { 1 / (1 + exp(-$0[i])) }.reduce(0, +) / 2
            #expect(abs(1 / (1 + exp(-both[i])) - mean) < 1e-5)
        }
    }

    @Test func thePaperPresetIsAppendixA() {
        let paper = TrainingPreset.paper.configuration(inputChannels: 5, labels: 2, seed: 1)
        #expect(paper.architecture.widths.count == 5)
        #expect(paper.architecture.widths.allSatisfy { (32...64).contains($0) })
        #expect(paper.architecture.convolutionsPerLevel == 3)
        #expect(paper.optimizer == .rmsprop)
        #expect(paper.batchSize == 20)
        #expect(
            [1, 6000, 6001, 12_001].map(paper.rate).elementsEqual([1e-3, 1e-3, 1e-4, 1e-5]) { abs($0 / $1 - 1) < 1e-9 })
    }

    /// What is farther from a pixel than the receptive radius does not change it, with a stride and a prior as well.
    @Test func strideAndPriorKeepTheirRadiusAndSize() throws {
        let architecture = UNetArchitecture(
            inputChannels: 2, labels: 2, widths: [4, 4], convolutionsPerLevel: 1, batchNormMomentum: 0.1, stride: 2,
            prior: ChannelPrior(channel: 1, weight: 3, radius: 2))
        let network = TorchSegmentationNetwork([try UNet(architecture, seed: 3)])
        let side = 64
        func output(changing pixel: (x: Int, y: Int)?) throws -> [Float] {
            var generator = SeededGenerator(seed: 1)
            var values = (0..<(2 * side * side)).map { _ in Float.random(in: -1...1, using: &generator) }
            if let pixel { for c in 0..<2 { values[(c * side + pixel.y) * side + pixel.x] += 2 } }
            return try network.logOdds(ImageBatch(count: 1, channels: 2, height: side, width: side, values: values))
        }
        let (before, after) = (try output(changing: nil), try output(changing: (31, 33)))
        #expect(before.count == side * side)
        var reach = 0
        for i in before.indices where before[i] != after[i] {
            reach = max(reach, abs(i % side - 31), abs(i / side - 33))
        }
        #expect(reach > 2 && reach <= architecture.receptiveRadius)
        #expect(architecture.gridMultiple == 4 && architecture.halo % 4 == 0)
    }

    /// With the network's own part silenced, the log-odds are the weighted mean of the channel over the disc.
    @Test func priorAddsTheMeanOfItsChannel() throws {
        let architecture = UNetArchitecture(
            inputChannels: 2, labels: 2, widths: [4], convolutionsPerLevel: 1, batchNormMomentum: 0.1,
            prior: ChannelPrior(channel: 1, weight: 5, radius: 1))
        let network = try UNet(architecture, seed: 3)
        try network.makeConstant(label: 1)
        var values = [Float](repeating: 0, count: 2 * 64)
        values[64 + 8 * 3 + 4] = 1
        let found = try TorchSegmentationNetwork([network]).logOdds(
            ImageBatch(count: 1, channels: 2, height: 8, width: 8, values: values))
        #expect(abs(found[8 * 3 + 4] - (4 + 1)) < 1e-5)
        #expect(abs(found[8 * 2 + 4] - (4 + 1)) < 1e-5)
        #expect(abs(found[8 * 2 + 3] - 4) < 1e-5)
    }
}
