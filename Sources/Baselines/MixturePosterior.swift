internal import Failures
internal import Foundation
public import LabelSuperResolution
internal import Torch

/// A label posterior from self-similarity (Malkin et al. 2020, "epitomic" label super-resolution): small windows of the
/// images are explained by a mixture of typical windows s, and which labels these stand for follows from how often each
/// occurs in blocks of each coarse class.
///
/// Windows are of half resolution and a few input channels:
///   log p(x|s) = ½ Σ [log v⁻¹ − (x − m)² v⁻¹] + log π_s
///   q(s|ℓ,c) ∝ p(ℓ|s) p(s|c),   p(ℓ|s) ∝ Σ_c q(s|ℓ,c) p(ℓ|c)   (20 rounds)
public struct MixturePosterior: Sendable {
    /// Numbers of the mixture.
    public struct Settings: Codable, Equatable, Sendable {
        public var components = 64
        /// Side of a window in pixels of half resolution; odd.
        public var side = 7
        public var windows = 9000
        public var iterations = 12
        public var rounds = 20

        public init() {}
    }

    /// Input channels that are looked at.
    public let channels: [Int]
    let side: Int
    /// By component and dimension (channel, row, column).
    let means: [[Float]]
    let precisions: [[Float]]
    let logWeights: [Float]
    /// p(ℓ|s) of the last label, by component.
    public let labels: [Double]

    /// Variances are not allowed to fall under this: a component on equal windows would explain nothing else.
    private static let leastVariance: Float = 1e-3

    /// Batches after which a source with few known blocks has given all that it will.
    private static let mostBatches = 2000

    /// Fits mixture and labels to the blocks of a source.
    ///
    /// - Parameter progress: called with rounds done and their number.
    public static func fit(
        source: any BlockSource, channels: [Int], priors: LabelPriors, settings: Settings, seed: UInt64,
        progress: (Int, Int) -> Void = { _, _ in }
    ) throws -> MixturePosterior {
        let (windows, classes) = try sample(source: source, channels: channels, settings: settings, seed: seed)
        var generator = SeededGenerator(seed: seed, stream: 2)
        var mixture = GaussianMixture(
            windows, components: settings.components, leastVariance: leastVariance, using: &generator)
        for iteration in 0..<settings.iterations {
            mixture.improve(windows)
            progress(iteration + 1, settings.iterations)
        }
        var occurrence = [[Double]](
            repeating: [Double](repeating: 0, count: mixture.means.count), count: priors.classCount)
        for (window, known) in zip(windows, classes) {
            for (component, share) in mixture.responsibilities(window).enumerated() {
                occurrence[known][component] += Double(share)
            }
        }
        let labels = labelPosterior(
            occurrence: occurrence, shares: priors.means.map { $0[$0.count - 1] }, rounds: settings.rounds)
        return MixturePosterior(
            channels: channels, side: settings.side, means: mixture.means, precisions: mixture.precisions,
            logWeights: mixture.logWeights, labels: labels)
    }

    /// p(ℓ|s) of a label from how often each component occurs in each class, and the label's share of each class.
    static func labelPosterior(occurrence: [[Double]], shares: [Double], rounds: Int) -> [Double] {
        let count = occurrence.first?.count ?? 0
        // p(s|c); classes without a window tell nothing.
        let known = occurrence.indices.filter { occurrence[$0].reduce(0, +) > 0 }
        let frequency = known.map { c in
            let total = occurrence[c].reduce(0, +)
            return occurrence[c].map { $0 / total }
        }
        var present = [Double](repeating: 0.5, count: count)
        for _ in 0..<rounds {
            var (of, rest) = ([Double](repeating: 0, count: count), [Double](repeating: 0, count: count))
            for (index, c) in known.enumerated() {
                let with = (0..<count).map { present[$0] * frequency[index][$0] }
                let without = (0..<count).map { (1 - present[$0]) * frequency[index][$0] }
                let (totalWith, totalWithout) = (max(with.reduce(0, +), 1e-12), max(without.reduce(0, +), 1e-12))
                for s in 0..<count {
                    of[s] += with[s] / totalWith * shares[c]
                    rest[s] += without[s] / totalWithout * (1 - shares[c])
                }
            }
            present = (0..<count).map { of[$0] / max(of[$0] + rest[$0], 1e-12) }
        }
        return present
    }

    /// Windows of half resolution from the blocks of training batches, with their blocks' classes.
    private static func sample(
        source: any BlockSource, channels: [Int], settings: Settings, seed: UInt64
    ) throws -> (windows: [[Float]], classes: [Int]) {
        var generator = SeededGenerator(seed: seed, stream: 1)
        var windows: [[Float]] = []
        var classes: [Int] = []
        let perBlock = 12
        var step = 0
        while windows.count < settings.windows, step < mostBatches {
            step += 1
            let batch = try source.batch(step: step, count: 6, seed: seed)
            let half = batch.imageSide / 2
            let planes = BlockBatch.halved(batch, channels: channels)
            for (index, label) in batch.blocks.enumerated() {
                guard let known = label.coarseClass else { continue }
                for _ in 0..<perBlock {
                    let place = batch.shapes.halvedPlace(in: index, using: &generator)
                    let (image, x, y) = (place.image, place.x - settings.side / 2, place.y - settings.side / 2)
                    guard x >= 0, y >= 0, x + settings.side <= half, y + settings.side <= half else { continue }
                    var window: [Float] = []
                    for channel in channels.indices {
                        let start = (image * channels.count + channel) * half * half
                        for row in y..<(y + settings.side) {
                            window += planes[(start + row * half + x)..<(start + row * half + x + settings.side)]
                        }
                    }
                    windows.append(window)
                    classes.append(known)
                }
            }
        }
        guard !windows.isEmpty else { throw MethodError(.training, "no block to take windows from") }
        return (windows, classes)
    }
}

extension BlockShapes {
    /// A place in a block, drawn by chance, in pixels of images at half resolution.
    fileprivate func halvedPlace(
        in block: Int, using generator: inout SeededGenerator
    ) -> (image: Int, x: Int, y: Int) {
        switch self {
        case .grid(let layout):
            let (image, own) = (block / layout.blocksPerImage, block % layout.blocksPerImage)
            let left = (layout.margin + own % layout.blocksPerSide * layout.blockSide) / 2
            let top = (layout.margin + own / layout.blocksPerSide * layout.blockSide) / 2
            let reach = layout.blockSide / 2
            let x = left + Int.random(in: 0..<reach, using: &generator)
            return (image, x, top + Int.random(in: 0..<reach, using: &generator))
        case .sets(let sets):
            var rest = Int.random(in: 0..<max(1, sets.sizes[block]), using: &generator)
            let run = runs(of: block).first { run in
                rest -= run.count
                return rest < 0
            }
            let place = run.map { $0.upperBound + rest } ?? 0
            let pixel = place % (imageSide * imageSide)
            return (place / (imageSide * imageSide), pixel % imageSide / 2, pixel / imageSide / 2)
        }
    }
}

extension BlockBatch {
    /// Chosen channels at half resolution, the mean of each 2×2 square.
    static func halved(_ batch: BlockBatch, channels: [Int]) -> [Float] {
        let side = batch.imageSide
        let half = side / 2
        var result = [Float](repeating: 0, count: batch.count * channels.count * half * half)
        for image in 0..<batch.count {
            for (index, channel) in channels.enumerated() {
                let source = (image * batch.channels + channel) * side * side
                let target = (image * channels.count + index) * half * half
                for y in 0..<half {
                    for x in 0..<half {
                        let i = source + 2 * y * side + 2 * x
                        result[target + y * half + x] =
                            0.25
                            * (batch.input[i] + batch.input[i + 1] + batch.input[i + side] + batch.input[i + side + 1])
                    }
                }
            }
        }
        return result
    }
}

/// A mixture of normal distributions with diagonal covariances, fitted by expectation maximisation.
struct GaussianMixture {
    private(set) var means: [[Float]]
    private(set) var precisions: [[Float]]
    private(set) var logWeights: [Float]
    private let leastVariance: Float

    /// Starts from samples drawn at random, and the variance of all.
    init(_ samples: [[Float]], components: Int, leastVariance: Float, using generator: inout SeededGenerator) {
        let count = min(components, samples.count)
        means = Array(samples.shuffled(using: &generator).prefix(count))
        let width = samples.first?.count ?? 0
        let variance = (0..<width).map { column in
            let mean = samples.reduce(0) { $0 + $1[column] } / Float(samples.count)
            return samples.reduce(0) { $0 + ($1[column] - mean) * ($1[column] - mean) } / Float(samples.count)
        }
        self.leastVariance = leastVariance
        // A quarter of it: the components share the space.
        precisions = [[Float]](repeating: variance.map { 1 / max(leastVariance, $0 / 4) }, count: count)
        logWeights = [Float](repeating: -log(Float(count)), count: count)
    }

    /// ½ Σ log v⁻¹ + log π of each component: what does not depend on the sample.
    private var constants: [Float] {
        means.indices.map { s in logWeights[s] + 0.5 * precisions[s].reduce(0) { $0 + log($1) } }
    }

    /// p(s|x) of each component.
    func responsibilities(_ sample: [Float]) -> [Float] { responsibilities(sample, constants: constants) }

    private func responsibilities(_ sample: [Float], constants: [Float]) -> [Float] {
        var scores = constants
        sample.withUnsafeBufferPointer { x in
            for s in scores.indices {
                var sum: Float = 0
                means[s].withUnsafeBufferPointer { m in
                    precisions[s].withUnsafeBufferPointer { p in
                        for i in x.indices { sum += (x[i] - m[i]) * (x[i] - m[i]) * p[i] }
                    }
                }
                scores[s] -= 0.5 * sum
            }
        }
        let most = scores.max() ?? 0
        let weights = scores.map { exp($0 - most) }
        let total = weights.reduce(0, +)
        return weights.map { $0 / total }
    }

    /// One round of expectation maximisation.
    mutating func improve(_ samples: [[Float]]) {
        let width = samples.first?.count ?? 0
        let constants = constants
        var total = [Float](repeating: 0, count: means.count)
        var sums = [[Float]](repeating: [Float](repeating: 0, count: width), count: means.count)
        var squares = sums
        for sample in samples {
            let shares = responsibilities(sample, constants: constants)
            for s in shares.indices where shares[s] > 1e-4 {
                total[s] += shares[s]
                for i in 0..<width {
                    sums[s][i] += shares[s] * sample[i]
                    squares[s][i] += shares[s] * sample[i] * sample[i]
                }
            }
        }
        for s in means.indices where total[s] > 1 {
            for i in 0..<width {
                let mean = sums[s][i] / total[s]
                means[s][i] = mean
                precisions[s][i] = 1 / max(leastVariance, squares[s][i] / total[s] - mean * mean)
            }
        }
        let all = total.reduce(0, +) + Float(means.count)
        logWeights = total.map { log(($0 + 1) / all) }
    }
}

/// The posterior as an engine, so that it goes wherever a network does.
///
/// `@unchecked Sendable`: its tensors are never changed after init, and libtorch allows concurrent passes over constant tensors.
public final class MixtureNetwork: SegmentationNetwork, @unchecked Sendable {
    public var engineName: String { "libtorch" }
    private let posterior: MixturePosterior
    private let weight: Tensor
    private let bias: Tensor
    private let labelShares: Tensor

    public let gridMultiple = 2
    public let halo: Int

    public init(_ posterior: MixturePosterior) throws {
        self.posterior = posterior
        let (side, width) = (posterior.side, posterior.channels.count)
        let components = posterior.means.count
        let area = side * side
        // Σ −½ v⁻¹ x² + m v⁻¹ x − ½ m² v⁻¹ + ½ log v⁻¹ is a convolution of x and x².
        var kernel: [Float] = []
        var constants: [Float] = []
        for s in 0..<components {
            let (m, p) = (posterior.means[s], posterior.precisions[s])
            kernel += (0..<(width * area)).map { m[$0] * p[$0] }
            kernel += (0..<(width * area)).map { -0.5 * p[$0] }
            constants.append(
                posterior.logWeights[s]
                    + (0..<(width * area)).reduce(0) { $0 + 0.5 * (log(p[$1]) - m[$1] * m[$1] * p[$1]) })
        }
        weight = try Tensor.from(kernel, shape: [components, 2 * width, side, side]).channelsLast()
        bias = try Tensor.from(constants, shape: [components])
        labelShares = try Tensor.from(posterior.labels.map(Float.init), shape: [1, components, 1, 1])
        halo = (side + 3) / 2 * 2
    }

    public var labels: Int { 2 }

    public func scores(_ batch: ImageBatch) throws -> LabelScores {
        try LabelScores(of: batch, logOdds: logOddsOfLabel(batch))
    }

    private func logOddsOfLabel(_ batch: ImageBatch) throws -> [Float] {
        try withoutGradients {
            let input = try Tensor.from(batch.values, shape: [batch.count, batch.channels, batch.height, batch.width])
            let chosen = try Tensor.concatenated(
                posterior.channels.map { try input.narrowed(dimension: 1, start: $0, length: 1) }, dimension: 1)
            let half = try chosen.reshaped(
                [batch.count, posterior.channels.count, batch.height / 2, 2, batch.width / 2, 2]
            ).mean(3, 5)
            let features = try Tensor.concatenated([half, half * half], dimension: 1).channelsLast()
            let shares = try features.convolved(weight: weight, bias: bias, padding: posterior.side / 2)
                .logSoftmax(dimension: 1).exponential()
            let probability = try shares.convolved(weight: labelShares, bias: nil, padding: 0)
            // Clamped by a hair, so that log-odds stay finite.
            let safe = try probability * (1 - 2e-6) + 1e-6
            return try (safe.logarithm() - (-safe + 1).logarithm()).upsampled2().values()
        }
    }
}

/// Two engines whose log-odds are added with weights: a product of experts.
public struct BlendedNetwork: SegmentationNetwork {
    private let first: any SegmentationNetwork
    private let second: any SegmentationNetwork
    private let weight: Float

    public var engineName: String {
        first.engineName == second.engineName ? first.engineName : "\(first.engineName)+\(second.engineName)"
    }
    public var gridMultiple: Int { max(first.gridMultiple, second.gridMultiple) }
    public var halo: Int {
        max(first.halo, second.halo) + gridMultiple - 1 - (max(first.halo, second.halo) + gridMultiple - 1)
            % gridMultiple
    }

    /// - Parameter weight: of the second; the first has 1 − weight. Both grids must be powers of two.
    public init(_ first: any SegmentationNetwork, _ second: any SegmentationNetwork, weight: Double) {
        self.first = first
        self.second = second
        self.weight = Float(weight)
    }

    public var labels: Int { first.labels }

    public func scores(_ batch: ImageBatch) throws -> LabelScores {
        let (a, b) = (try first.logOdds(batch), try second.logOdds(batch))
        return LabelScores(of: batch, logOdds: zip(a, b).map { (1 - weight) * $0 + weight * $1 })
    }
}
