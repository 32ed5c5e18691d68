import Failures
import Testing

@testable import Torch

struct TensorTests {
    @Test func arithmeticBroadcastsAndDifferentiates() throws {
        let a = try Tensor.from([1, 2, 3, 4], shape: [2, 2])
        let b = try Tensor.from([10, 20], shape: [2])
        try a.requireGradient()
        let loss = try (a * b + a * a).sum()
        try loss.backward()
        #expect(try loss.item() == 10 + 40 + 30 + 80 + 1 + 4 + 9 + 16)
        #expect(try a.gradient?.values() == [12, 24, 16, 28])
    }

    @Test func shapesThatDoNotFitAreErrors() throws {
        let a = try Tensor.full(1, shape: [2, 3])
        let b = try Tensor.full(1, shape: [4, 5])
        #expect(throws: TorchError.self) { try a + b }
        #expect(throws: TorchError.self) { try Tensor.from([1, 2, 3], shape: [2, 2]) }
        #expect(throws: TorchError.self) { try a.maxPooled2() }
        #expect(throws: TorchError.self) { try a.reshaped([7]) }
    }

    @Test func nothingIsRecordedWithoutGradients() throws {
        let a = try Tensor.full(2, shape: [1])
        try a.requireGradient()
        let silent = try withoutGradients { try a * a }
        #expect(throws: TorchError.self) { try silent.backward() }
    }

    @Test(arguments: ["gpu", "cuda:x", "cuda:-1", "cpu:1"]) func unknownDevicesAreRefused(text: String) {
        #expect(throws: TorchError.self) { try Device(text) }
    }

    @Test func threadsFollowTheAllocation() {
        #expect(TorchRuntime.availableProcessors(environment: ["SLURM_CPUS_PER_TASK": "1"]) == 1)
        #expect(TorchRuntime.availableProcessors(environment: [:]) >= 1)
        #expect(TorchRuntime.availableProcessors(environment: ["SLURM_CPUS_PER_TASK": "100000"]) < 100_000)
    }
}
