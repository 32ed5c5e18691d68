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
            var result = [Float](repeating: 0, count: height * width)
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
                input: image(architecture, side: side, seed: seed), classes: [0, 0, 0, 0],
                pixelLabels: [Int8](repeating: -1, count: side * side))
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
                input: image(architecture, side: side, seed: 4).map { $0 * scale }, classes: [0, 0, 0, 0],
                pixelLabels: [Int8](repeating: -1, count: side * side))
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
}
