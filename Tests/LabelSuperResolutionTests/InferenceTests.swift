import Failures
import Foundation
import Synchronization
import Testing
import Torch

@testable import LabelSuperResolution

/// The engine for CPUs against libtorch, which trained the network.
@Suite struct InferenceTests {
    /// Shapes that differ in everything the plan depends on.
    static let architectures: [UNetArchitecture] = [
        UNetArchitecture(
            inputChannels: 5, labels: 2, widths: [16, 32], convolutionsPerLevel: 2, batchNormMomentum: 0.1, stride: 2,
            prior: ChannelPrior(channel: 3, weight: 2.5, radius: 5)),
        UNetArchitecture(
            inputChannels: 4, labels: 2, widths: [8, 12, 20], convolutionsPerLevel: 1, batchNormMomentum: 0.1),
        UNetArchitecture(
            inputChannels: 5, labels: 2, widths: [32, 32, 64, 64, 64], convolutionsPerLevel: 3, batchNormMomentum: 0.1),
        UNetArchitecture(
            inputChannels: 4, labels: 4, widths: [16, 16], convolutionsPerLevel: 3, batchNormMomentum: 0.1, stride: 2,
            prior: ChannelPrior(channel: 0, weight: 1, radius: 2)),
        UNetArchitecture(inputChannels: 3, labels: 2, widths: [16], convolutionsPerLevel: 2, batchNormMomentum: 0.1),
    ]

    /// A network whose batch norms have seen something: fresh ones would hide a fold that forgets them.
    private func network(_ architecture: UNetArchitecture) throws -> UNet {
        let network = try UNet(architecture, seed: 7)
        for round in 0..<3 {
            let input = try Tensor.from(
                image(architecture, side: 64, seed: UInt64(round), count: 2),
                shape: [2, architecture.inputChannels, 64, 64])
            _ = try network(input, isTraining: true)
        }
        return network
    }

    private func image(_ architecture: UNetArchitecture, side: Int, seed: UInt64, count: Int = 1) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<(count * architecture.inputChannels * side * side)).map { index in
            Float(generator.nextGaussian()) * 0.5 + 0.3 * sin(Float(index % side) / 5)
        }
    }

    private func probability(_ logOdds: Float) -> Float { 1 / (1 + exp(-logOdds)) }

    @Test(arguments: architectures) func equalsTheTrainingEngine(_ architecture: UNetArchitecture) throws {
        let trained = try network(architecture)
        let (height, width) = (96, 64)
        let values = Array(
            image(architecture, side: 96, seed: 9, count: 2).prefix(2 * architecture.inputChannels * height * width))
        let batch = ImageBatch(
            count: 2, channels: architecture.inputChannels, height: height, width: width, values: values)
        let wanted = try TorchSegmentationNetwork([trained], temperature: 1.5).logOdds(batch)
        let found = try OneDNNSegmentationNetwork([trained], temperature: 1.5).logOdds(batch)
        #expect(found.count == wanted.count)
        #expect(zip(found, wanted).allSatisfy { abs(probability($0) - probability($1)) < 1e-4 })
        #expect(zip(found, wanted).allSatisfy { abs($0 - $1) < 1e-3 * max(1, abs($1)) })
        #expect(Set(found.map { ($0 * 10_000).rounded() }).count > 20, "the network says something")
    }

    /// Both plans, whichever the CPU and the network would take.
    @Test(arguments: architectures) func bothPlansAgree(_ architecture: UNetArchitecture) throws {
        guard BlockedUNetPlan.suits(architecture) else { return }
        let folded = try FoldedUNet(try network(architecture))
        let (height, width) = (64, 96)
        let input = image(architecture, side: 96, seed: 4)
        func run(_ plan: any InferencePlan) throws -> [Float] {
            var result = [Float](
                repeating: 0, count: LabelScores.planes(labels: architecture.labels) * height * width)
            try plan.run(input, into: &result)
            return result
        }
        let plain = try run(try UNetPlan(folded, height: height, width: width, quantization: nil))
        let blocked = try run(try BlockedUNetPlan(folded, height: height, width: width))
        // Winograd's rounding, over a dozen layers.
        #expect(zip(plain, blocked).allSatisfy { abs($0 - $1) < 1e-3 * max(1, abs($0)) })
        #expect(Set(plain.map { ($0 * 10_000).rounded() }).count > 20, "the network says something")
    }

    /// oneDNN's own scratch memory belongs to a thread.
    @Test(arguments: [0, 2]) func aPlanRunsOnAnyThread(_ index: Int) async throws {
        let architecture = InferenceTests.architectures[index]
        let engine = try OneDNNSegmentationNetwork([try network(architecture)])
        let batch = ImageBatch(
            count: 1, channels: 5, height: 96, width: 96, values: image(architecture, side: 96, seed: 5))
        let here = try engine.logOdds(batch)
        let elsewhere = Mutex<[[Float]]>([])
        for _ in 0..<2 {
            await withCheckedContinuation { done in
                Thread {
                    let result = (try? engine.logOdds(batch)) ?? []
                    elsewhere.withLock { $0.append(result) }
                    done.resume()
                }.start()
            }
        }
        #expect(elsewhere.withLock { $0 } == [here, here])
    }

    @Test func anEnsembleAveragesProbabilities() throws {
        let architecture = InferenceTests.architectures[0]
        let members = [try network(architecture), try UNet(architecture, seed: 2)]
        let batch = ImageBatch(
            count: 1, channels: 5, height: 32, width: 32, values: image(architecture, side: 32, seed: 3))
        let wanted = try TorchSegmentationNetwork(members).logOdds(batch)
        let found = try OneDNNSegmentationNetwork(members).logOdds(batch)
        #expect(zip(found, wanted).allSatisfy { abs($0 - $1) < 1e-3 * max(1, abs($1)) })
    }

    @Test(arguments: [0, 1, 3]) func bytesAreNearFloats(_ index: Int) throws {
        let architecture = InferenceTests.architectures[index]
        let trained = try network(architecture)
        let side = 240
        let batches = [1, 2].map { seed in
            BlockBatch(
                layout: .native, channels: architecture.inputChannels,
                input: image(architecture, side: side, seed: seed),
                blocks: [BlockLabel](repeating: .coarseClass(0), count: 4))
        }
        let wanted = try OneDNNSegmentationNetwork([trained]).logOdds(
            ImageBatch(
                count: 1, channels: architecture.inputChannels, height: side, width: side, values: batches[0].input))
        let threshold = Double(probability(wanted.sorted()[wanted.count * 3 / 4]))
        let found = try #require(try Quantization.calibrate(trained, batches: batches, threshold: threshold))
        #expect(found.meanDifference < 0.02)
        #expect(found.agreement > 0.98)
        #expect(found.meanDifference > 0, "bytes are no floats")
        let bytes = try OneDNNSegmentationNetwork([trained], quantizations: [found])
        #expect(bytes.precision == .int8)
        let values = try bytes.logOdds(
            ImageBatch(
                count: 1, channels: architecture.inputChannels, height: side, width: side, values: batches[0].input))
        let difference =
            zip(values, wanted).reduce(0) { $0 + Double(abs(probability($1.0) - probability($1.1))) }
            / Double(values.count)
        #expect(abs(difference - found.meanDifference) < 0.5 * found.meanDifference + 1e-4)
    }

    /// Input that is beyond the batches' is clamped to theirs in bytes, unless the calibration was shown the like.
    @Test func extremesKeepBytesNearFloatsBeyondTheBatches() throws {
        let architecture = InferenceTests.architectures[0]
        let trained = try network(architecture)
        let side = 240
        func batch(_ scale: Float) -> BlockBatch {
            BlockBatch(
                layout: .native, channels: architecture.inputChannels,
                input: image(architecture, side: side, seed: 4).map { $0 * scale },
                blocks: [BlockLabel](repeating: .coarseClass(0), count: 4))
        }
        let (usual, extreme) = (batch(1), batch(6))
        func difference(_ quantization: Quantization, on batch: BlockBatch) throws -> Double {
            let images = ImageBatch(
                count: 1, channels: architecture.inputChannels, height: side, width: side, values: batch.input)
            let exact = try OneDNNSegmentationNetwork([trained]).logOdds(images)
            let bytes = try OneDNNSegmentationNetwork([trained], quantizations: [quantization]).logOdds(images)
            return zip(bytes, exact).reduce(0) { $0 + Double(abs($1.0 - $1.1)) } / Double(exact.count)
        }
        let without = try #require(try Quantization.calibrate(trained, batches: [usual], threshold: 0.5))
        let with = try #require(
            try Quantization.calibrate(trained, batches: [usual], extremes: [extreme], threshold: 0.5))
        #expect(try difference(with, on: extreme) < 0.3 * difference(without, on: extreme))
        // What is measured is the batches alone, and is what it is there.
        #expect(with.meanDifference < 0.05 && without.meanDifference < with.meanDifference)
    }

    @Test func scalesOfAnotherNetworkAreRefused() throws {
        let wrong = Quantization(inputLimits: [1, 1], limits: [1], meanDifference: 0, agreement: 1)
        #expect(throws: MethodError.self) {
            try OneDNNSegmentationNetwork(
                [UNet(InferenceTests.architectures[0], seed: 1)], quantizations: [wrong])
        }
    }

    /// ReLU would make zeros of them.
    @Test func weightsThatAreNoNumbersAreAnError() throws {
        let damaged = try UNet(InferenceTests.architectures[4], seed: 1)
        let weight = try #require(damaged.tensors.first { $0.name == "down.0.1.norm.weight" })
        try withoutGradients { try weight.tensor.copyInPlace(Tensor.full(.nan, shape: weight.tensor.shape)) }
        #expect(throws: MethodError.self) { try OneDNNSegmentationNetwork([damaged]) }
    }

    /// The planes of all labels are those of libtorch, add up to one, and follow the temperature.
    @Test(arguments: [1, 2]) func everyLabelHasItsPlane(members: Int) throws {
        let architecture = UNetArchitecture(
            inputChannels: 3, labels: 3, widths: [8, 16], convolutionsPerLevel: 1, batchNormMomentum: 0.1,
            prior: ChannelPrior(channel: 1, weight: 2, radius: 1))
        let networks = try (0..<members).map { try UNet(architecture, seed: UInt64(31 + $0)) }
        var generator = SeededGenerator(seed: 8)
        let side = 16
        let batch = ImageBatch(
            count: 2, channels: 3, height: side, width: side,
            values: (0..<2 * 3 * side * side).map { _ in Float(generator.nextGaussian()) })
        for temperature in [1, 2.5] {
            let wanted = try TorchSegmentationNetwork(networks, temperature: temperature).scores(batch)
            let found = try OneDNNSegmentationNetwork(networks, temperature: temperature).scores(batch)
            #expect(wanted.labels == 3 && found.labels == 3)
            var sum = [Float](repeating: 0, count: 2 * side * side)
            for label in 0..<3 {
                let (a, b) = (wanted.probabilities(of: label), found.probabilities(of: label))
                for i in a.indices { #expect(abs(a[i] - b[i]) < 1e-4) }
                for i in b.indices { sum[i] += b[i] }
                let odds = found.logOdds(of: label)
                for i in b.indices { #expect(abs(1 / (1 + exp(-odds[i])) - b[i]) < 1e-4) }
            }
            #expect(sum.allSatisfy { abs($0 - 1) < 1e-4 })
            #expect(found.logOdds == found.logOdds(of: 2))
        }
        let plain = try TorchSegmentationNetwork(networks).scores(batch)
        let soft = plain.tempered(2.5)
        let direct = try TorchSegmentationNetwork(networks, temperature: 2.5).scores(batch)
        for label in 0..<3 {
            for (a, b) in zip(soft.probabilities(of: label), direct.probabilities(of: label)) {
                #expect(abs(a - b) < 1e-5)
            }
        }
    }

    @Test func theLikeliestLabelFollowsTheWeights() {
        let two = LabelScores(count: 1, labels: 2, height: 1, width: 3, values: [-1, 0.5, 2])
        #expect(two.likeliest() == [0, 1, 1])
        #expect(two.likeliest(weights: [1, 0.2]) == [0, 0, 1])
        #expect(two.probabilities(of: 0)[1] + two.probabilities(of: 1)[1] == 1)
        // log p of three labels at two pixels.
        let p: [Float] = [0.5, 0.2, 0.3, 0.2, 0.2, 0.6]
        let three = LabelScores(count: 1, labels: 3, height: 1, width: 2, values: p.map { log($0) })
        #expect(three.likeliest() == [0, 2])
        #expect(three.likeliest(weights: [1, 2, 1]) == [1, 2])
        #expect(abs(three.logOdds[1] - log(0.6 / 0.4)) < 1e-6)
    }
}
