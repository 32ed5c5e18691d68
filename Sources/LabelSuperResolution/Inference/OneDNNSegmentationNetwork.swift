internal import Failures
internal import Foundation
internal import OneDNN
internal import Synchronization

/// Inference on CPUs with oneDNN, by one network or by several whose probabilities are averaged.
///
/// Each image is computed by one thread, so that several calls at once (one a tile) keep all cores busy and a pixel's value
/// does not depend on how many there are.
public final class OneDNNSegmentationNetwork: SegmentationNetwork {
    private struct Size: Hashable {
        let height: Int
        let width: Int
    }

    private let members: [FoldedUNet]
    private let quantizations: [Quantization?]
    private let temperature: Float
    private let idle = IdlePlans()

    /// Plans that wait for their next image.
    ///
    /// `@unchecked Sendable`: plans own memory that oneDNN writes; each is handed out to one caller, under the lock.
    private final class IdlePlans: @unchecked Sendable {
        private let lock = NSLock()
        private var waiting: [(size: Size, plans: [any InferencePlan])] = []
        /// More would hold memory for sizes that do not come again.
        private let most = max(2, ProcessInfo.processInfo.activeProcessorCount)

        func take(_ size: Size) -> [any InferencePlan]? {
            lock.withLock { waiting.lastIndex { $0.size == size }.map { waiting.remove(at: $0).plans } }
        }

        func give(_ plans: [any InferencePlan], _ size: Size) {
            lock.withLock {
                waiting.append((size, plans))
                if waiting.count > most { waiting.removeFirst() }
            }
        }
    }

    public let labels: Int
    public let gridMultiple: Int
    public let halo: Int
    public let precision: InferencePrecision
    public var engineName: String { "onednn-\(precision.rawValue)" }

    /// - Parameters:
    ///   - temperature: divides the log-odds of the whole; see ``TemperatureScaling``.
    ///   - quantizations: of each member, for inference in bytes; nil for 32 bits.
    public init(_ networks: [UNet], temperature: Double = 1, quantizations: [Quantization]? = nil) throws {
        precondition(!networks.isEmpty, "an ensemble has at least one member")
        members = try networks.map { try FoldedUNet($0) }
        // ReLU makes zeros of what is no number, so the output would not tell.
        guard members.allSatisfy(\.isFinite) else { throw MethodError.notANumber }
        guard quantizations.map({ $0.count == networks.count }) ?? true else {
            throw MethodError(.model, "the model has \(networks.count) networks, but other numbers of byte scales")
        }
        for (member, found) in zip(members, quantizations ?? []) {
            let layers = member.down.flatMap(\.self).count + member.up.flatMap(\.self).count
            guard found.limits.count == layers, found.inputLimits.count == member.architecture.inputChannels,
                (found.limits + found.inputLimits).allSatisfy({ $0.isFinite && $0 > 0 })
            else { throw MethodError(.model, "the model's byte scales do not fit its network") }
        }
        self.quantizations = quantizations ?? [Quantization?](repeating: nil, count: networks.count)
        precision = quantizations == nil ? .float32 : .int8
        self.temperature = Float(temperature)
        labels = networks[0].architecture.labels
        gridMultiple = networks[0].architecture.gridMultiple
        halo = networks[0].architecture.halo
    }

    public func scores(_ batch: ImageBatch) throws -> LabelScores {
        let size = Size(height: batch.height, width: batch.width)
        let pixels = LabelScores.planes(labels: labels) * batch.height * batch.width
        let length = batch.channels * batch.height * batch.width
        let failure = Failure()
        let result = [Float](unsafeUninitializedCapacity: batch.count * pixels) { buffer, count in
            batch.values.withUnsafeBufferPointer { values in
                guard let first = values.baseAddress, let target = buffer.baseAddress else { return }
                // Each image has its own part of both.
                nonisolated(unsafe) let (input, output) = (first, target)
                // A single image stays on the caller's thread.
                DispatchQueue.concurrentPerform(iterations: batch.count) { image in
                    failure.catching {
                        try self.run(input + image * length, size: size, into: output + image * pixels)
                    }
                }
            }
            count = batch.count * pixels
        }
        if let error = failure.error { throw error }
        return LabelScores(
            count: batch.count, labels: labels, height: batch.height, width: batch.width, values: result)
    }

    private func run(_ image: UnsafePointer<Float>, size: Size, into result: UnsafeMutablePointer<Float>) throws {
        let plans = try takePlans(size)
        defer { idle.give(plans, size) }
        let pixels = size.height * size.width
        try plans[0].run(image, into: result)
        if labels == 2 {
            try average(plans, image, pixels: pixels, into: result)
        } else {
            try averageLabels(plans, image, pixels: pixels, into: result)
        }
        let count = LabelScores.planes(labels: labels) * pixels
        guard PixelLoops.divide(result, count: count, by: temperature) else { throw MethodError.notANumber }
        if labels > 2, temperature != 1 { LabelScores.normalize(result, labels: labels, pixels: pixels) }
    }

    /// Puts the log-odds of the plans' mean probabilities in place of the first plan's.
    private func average(
        _ plans: [any InferencePlan], _ image: UnsafePointer<Float>, pixels: Int,
        into result: UnsafeMutablePointer<Float>
    ) throws {
        guard plans.count > 1 else { return }
        // p and 1 − p are summed apart: near 1, p alone would lose what log-odds still tell.
        var (present, absent) = ([Float](repeating: 0, count: pixels), [Float](repeating: 0, count: pixels))
        for (index, plan) in plans.enumerated() {
            if index > 0 { try plan.run(image, into: result) }
            for i in 0..<pixels {
                // Beyond ± 80, e^x leaves float32; a value that is no number stays none.
                let value = result[i].isNaN ? result[i] : max(-80, min(80, result[i]))
                present[i] += 1 / (1 + exp(-value))
                absent[i] += 1 / (1 + exp(value))
            }
        }
        for i in 0..<pixels { result[i] = log(present[i]) - log(absent[i]) }
    }

    /// The same for more labels: the logarithm of the mean probability of each.
    private func averageLabels(
        _ plans: [any InferencePlan], _ image: UnsafePointer<Float>, pixels: Int,
        into result: UnsafeMutablePointer<Float>
    ) throws {
        guard plans.count > 1 else { return }
        var sum = [Float](repeating: 0, count: labels * pixels)
        for (index, plan) in plans.enumerated() {
            if index > 0 { try plan.run(image, into: result) }
            for i in sum.indices { sum[i] += exp(result[i]) }
        }
        for i in sum.indices { result[i] = log(max(sum[i] / Float(plans.count), 1e-37)) }
    }

    private func takePlans(_ size: Size) throws -> [any InferencePlan] {
        if let waiting = idle.take(size) { return waiting }
        return try zip(members, quantizations).map { member, quantization in
            if quantization == nil, BlockedUNetPlan.suits(member.architecture) {
                return try BlockedUNetPlan(member, height: size.height, width: size.width)
            }
            return try UNetPlan(member, height: size.height, width: size.width, quantization: quantization)
        }
    }

    /// The first error of several threads.
    private final class Failure: Sendable {
        private let first = Mutex<(any Error)?>(nil)

        var error: (any Error)? { first.withLock { $0 } }

        func catching(_ body: () throws -> Void) {
            do {
                try body()
            } catch {
                first.withLock { $0 = $0 ?? error }
            }
        }
    }
}
