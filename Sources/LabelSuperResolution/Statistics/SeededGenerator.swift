internal import Foundation
/// A random number generator that gives the same numbers for the same seed on every machine (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    /// An independent stream for one step or item: what is drawn for it does not depend on what was drawn before.
    public init(seed: UInt64, stream: UInt64) {
        var mixer = SeededGenerator(seed: seed ^ (stream &+ 1) &* 0xd1b5_4a32_d192_ed03)
        state = mixer.next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// A draw from the standard normal distribution (Box–Muller).
    public mutating func nextGaussian() -> Double {
        let radius = (-2 * log(Double.random(in: Double.leastNonzeroMagnitude...1, using: &self)))
            .squareRoot()
        return radius * cos(Double.random(in: 0..<(2 * .pi), using: &self))
    }
}

extension SeededGenerator {
    /// The first number of a stream: a seed for something that has streams of its own.
    public static func draw(seed: UInt64, stream: UInt64) -> UInt64 {
        var generator = SeededGenerator(seed: seed, stream: stream)
        return generator.next()
    }
}
