import Foundation
import Testing
import Torch

@testable import LabelSuperResolution

/// One forward and backward pass and three optimiser steps against values stored from PyTorch in float64
/// (`script/reference/unet.py`).
struct ReferenceTests {
    private struct Reference: Decodable {
        let evaluated: [Double]
        let scores: [Double]
        let loss: Double
        let gradients: [String: [Double]]
        let optimizers: [String: [Double]]
    }

    /// The same numbers as the script's.
    private struct Stream {
        var k = 0

        mutating func take(_ count: Int, scale: Double) -> [Float] {
            defer { k += count }
            return (k..<(k + count)).map { Float((Double(($0 * 7919 + 13) % 2003) / 2003 - 0.5) * scale) }
        }
    }

    private let reference: Reference

    init() throws {
        let url = try #require(Bundle.module.url(forResource: "unet", withExtension: "json", subdirectory: "Reference"))
        reference = try JSONDecoder().decode(Reference.self, from: Data(contentsOf: url))
    }

    private func network() throws -> (network: UNet, input: [Float]) {
        let network = try UNet(
            UNetArchitecture(
                inputChannels: 3, labels: 2, widths: [4, 6, 8], convolutionsPerLevel: 2, batchNormMomentum: 0.1),
            seed: 1)
        var stream = Stream()
        for named in network.tensors {
            let count = named.tensor.count
            let isNormScale = named.name.hasSuffix("norm.weight") || named.name.hasSuffix("running_var")
            let scale: Double =
                switch named.name {
                case let name where name.hasSuffix("conv.weight"): 0.6
                case let name where name.hasSuffix("running_mean"): 0.2
                case "head.weight": 1
                case "head.bias": 0.5
                default: 0.4
                }
            let values = stream.take(count, scale: scale).map { isNormScale ? $0 + 1 : $0 }
            try named.tensor.copyInPlace(.from(values, shape: named.tensor.shape))
        }
        return (network, stream.take(2 * 3 * 24 * 24, scale: 2))
    }

    private func expectClose(_ found: [Float], _ wanted: [Double], _ what: String) {
        #expect(found.count == wanted.count)
        let scale = max(1, wanted.map(abs).max() ?? 1)
        let worst = zip(found, wanted).map { abs(Double($0) - $1) / scale }.max() ?? 0
        #expect(worst < 1e-4, "\(what): off by \(worst)")
    }

    @Test func forwardAndBackwardPassAgreeWithPyTorch() throws {
        let (network, values) = try network()
        let input = try Tensor.from(values, shape: [2, 3, 24, 24]).channelsLast()
        expectClose(try network(input, isTraining: false).values(), reference.evaluated, "evaluation mode")
        let scores = try network(input, isTraining: true)
        expectClose(try scores.values(), reference.scores, "training mode")
        let priors = try LabelPriors(
            labels: ["other", "lymphocyte"], means: [[0.95, 0.05], [0.6, 0.4]],
            deviations: [[0.02, 0.02], [0.1, 0.1]],
            origin: "test")
        let loss = try StatisticsMatching(epsilon: 0.03, logWeight: 0.3)(
            scores.logSoftmax(dimension: 1),
            blocks: [0, 1, nil, 1, 1, 0, 0, nil].map { try priors.expectation(of: BlockLabel($0)) },
            shapes: .grid(BlockLayout(margin: 4, blocksPerSide: 2, blockSide: 8)), device: .cpu)
        #expect(abs(Double(try loss.item()) / reference.loss - 1) < 1e-4)
        try loss.backward()
        for (name, wanted) in reference.gradients {
            let tensor = try #require(network.tensors.first { $0.name == name }?.tensor)
            expectClose(try #require(tensor.gradient).values(), wanted, name)
        }
    }

    @Test(arguments: OptimizerRule.allCases) func optimizersStepAsPyTorchs(rule: OptimizerRule) throws {
        let parameter = try Tensor.from([0.5, -1, 2], shape: [3])
        try parameter.requireGradient()
        let optimizer = try Optimizer(
            rule: rule, parameters: [NamedTensor(name: "q", tensor: parameter, isTrained: true)])
        for gradient: [Float] in [[0.1, -0.2, 0.3], [0.4, 0.1, -0.6], [-0.5, 0.05, 0.2]] {
            try optimizer.clearGradients()
            try (parameter * Tensor.from(gradient, shape: [3])).sum().backward()
            try optimizer.step(learningRate: 0.01)
        }
        expectClose(try parameter.values(), try #require(reference.optimizers[rule.rawValue]), rule.rawValue)
    }
}
