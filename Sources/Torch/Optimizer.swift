public import Failures

/// The rule by which an optimiser turns gradients into steps.
public enum OptimizerRule: String, Codable, Sendable, CaseIterable {
    /// RMSProp as in PyTorch: smoothing 0.99, epsilon 1e-8, no momentum.
    case rmsprop
    /// Adam as in PyTorch: β₁ 0.9, β₂ 0.999, epsilon 1e-8.
    case adam
}

/// Updates the trained tensors of a network from their gradients.
public final class Optimizer {
    public let rule: OptimizerRule
    private let parameters: [NamedTensor]
    private let firstMoments: [Tensor]
    private let secondMoments: [Tensor]
    public private(set) var steps = 0

    public init(rule: OptimizerRule, parameters: [NamedTensor]) throws(TorchError) {
        self.rule = rule
        let trained = parameters.filter(\.isTrained)
        self.parameters = trained
        func zeros(_ needed: Bool) throws(TorchError) -> [Tensor] {
            var tensors: [Tensor] = []
            for parameter in trained where needed {
                let zero = try parameter.tensor.clone()
                try zero.scaleInPlace(0)
                tensors.append(zero)
            }
            return tensors
        }
        firstMoments = try zeros(rule == .adam)
        secondMoments = try zeros(true)
    }

    public func clearGradients() throws(TorchError) {
        for parameter in parameters { try parameter.tensor.clearGradient() }
    }

    /// Scales all gradients so that their common Euclidean norm is at most `limit`, and returns the norm before.
    @discardableResult
    public func clipGradients(norm limit: Double) throws(TorchError) -> Double {
        var square = 0.0
        let gradients = parameters.compactMap(\.tensor.gradient)
        for gradient in gradients { square += Double(try (gradient * gradient).sum().item()) }
        let norm = square.squareRoot()
        if norm > limit {
            for gradient in gradients { try gradient.scaleInPlace(limit / (norm + 1e-6)) }
        }
        return norm
    }

    /// One step against the gradients of the last backward pass.
    public func step(learningRate: Double) throws(TorchError) {
        steps += 1
        for (index, parameter) in parameters.enumerated() {
            guard let gradient = parameter.tensor.gradient else { continue }
            let second = secondMoments[index]
            switch rule {
            case .rmsprop:
                try second.scaleInPlace(0.99)
                try second.addProductInPlace(gradient, gradient, scaledBy: 0.01)
                try parameter.tensor.addRootedQuotientInPlace(
                    gradient, square: second, rootScale: 1, epsilon: 1e-8, scaledBy: -learningRate)
            case .adam:
                let first = firstMoments[index]
                try first.scaleInPlace(0.9)
                try first.addInPlace(gradient, scaledBy: 0.1)
                try second.scaleInPlace(0.999)
                try second.addProductInPlace(gradient, gradient, scaledBy: 0.001)
                let firstCorrection = 1 - power(0.9, steps)
                let secondCorrection = 1 - power(0.999, steps)
                try parameter.tensor.addRootedQuotientInPlace(
                    first, square: second, rootScale: secondCorrection.squareRoot(), epsilon: 1e-8,
                    scaledBy: -learningRate / firstCorrection)
            }
        }
    }

    /// The moments, by parameter name, for a checkpoint.
    public func state() -> [NamedTensor] {
        func named(_ kind: String, _ tensors: [Tensor]) -> [NamedTensor] {
            zip(parameters, tensors).map {
                NamedTensor(name: "optimizer.\(kind).\($0.name)", tensor: $1, isTrained: false)
            }
        }
        return named("first", firstMoments) + named("second", secondMoments)
    }

    /// Goes on from a checkpoint whose tensors were copied into ``state()``.
    public func resume(atStep steps: Int) { self.steps = steps }

    private func power(_ base: Double, _ exponent: Int) -> Double {
        var result = 1.0
        var factor = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result *= factor }
            factor *= factor
            rest >>= 1
        }
        return result
    }
}
