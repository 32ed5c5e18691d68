/// The coarse classes of lymphocytes: equal steps of a heatmap's probability between 0 and 1 (paper §3.2: ten).
public struct ProbabilityClasses: Equatable, Sendable {
    public let count: Int

    public init(count: Int = 10) {
        precondition(count > 0, "there is at least one class")
        self.count = count
    }

    /// The class of a probability: [0, 0.1), [0.1, 0.2), … [0.9, 1]; the last one closed.
    public func index(of probability: Double) -> Int {
        // Probabilities come as decimals: 0.3 must be class 3 though 0.3 · 10 is a hair below.
        max(0, min(count - 1, Int((probability * Double(count) + 1e-9).rounded(.down))))
    }

    /// Their names: "0–0.1" and so on.
    public var names: [String] {
        func text(_ value: Double) -> String { String((value * 1000).rounded() / 1000) }
        return (0..<count).map { "\(text(Double($0) / Double(count)))–\(text(Double($0 + 1) / Double(count)))" }
    }
}
