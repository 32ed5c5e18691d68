internal import Foundation
internal import Torch

/// A distribution over the labels for each pixel of a batch's blocks; nothing is known of the margin.
struct PixelTargets {
    /// `NLHW` like the network's output; zero where nothing is known.
    let probabilities: Tensor
    /// 1 for pixels of known blocks, else 0; `N1HW`.
    let weights: Tensor
    /// The sum of the weights.
    let knownPixels: Double

    /// No belief is surer than this: a prior of exactly 0 or 1 would make log p infinite.
    static let leastProbability = 1e-3

    /// Each pixel gets the row of its block.
    ///
    /// - Parameters:
    ///   - rows: a distribution over the labels for each block, image by image and row by row; nil where it is unknown.
    ///   - blur: standard deviation in pixels by which the rows run into each other, and below which no probability is
    ///     under ``leastProbability``; nil for the rows as they are.
    init(_ rows: [[Double]?], labels: Int, layout: BlockLayout, blur: Double? = nil, device: Device) throws {
        let (side, n) = (layout.imageSide, layout.blocksPerSide)
        let images = rows.count / layout.blocksPerImage
        let pixels = side * side
        var values = [Float](repeating: 0, count: images * labels * pixels)
        var known = [Float](repeating: 0, count: images * pixels)
        for (index, row) in rows.enumerated() {
            guard let row else { continue }
            let (image, block) = (index / layout.blocksPerImage, index % layout.blocksPerImage)
            let top = layout.margin + block / n * layout.blockSide
            let left = layout.margin + block % n * layout.blockSide
            for y in top..<(top + layout.blockSide) {
                for x in left..<(left + layout.blockSide) {
                    known[image * pixels + y * side + x] = 1
                    for label in 0..<labels {
                        values[(image * labels + label) * pixels + y * side + x] = Float(row[label])
                    }
                }
            }
        }
        if let blur { PixelTargets.blur(&values, known: known, rows: rows, labels: labels, layout: layout, by: blur) }
        probabilities = try Tensor.from(values, shape: [images, labels, side, side], device: device)
        weights = try Tensor.from(known, shape: [images, 1, side, side], device: device)
        knownPixels = known.reduce(0) { $0 + ($1 > 0 ? 1 : 0) }
    }

    /// Blurs what is constant in each block: a pixel's weight of a block is the Gaussian's mass over it, unknown blocks left out.
    private static func blur(
        _ values: inout [Float], known: [Float], rows: [[Double]?], labels: Int, layout: BlockLayout, by sigma: Double
    ) {
        let (side, n) = (layout.imageSide, layout.blocksPerSide)
        let pixels = side * side
        let masses = (0..<side).map { pixel in
            (0..<n).map { block in
                let start = Double(layout.margin + block * layout.blockSide) - Double(pixel) - 0.5
                let scale = 1 / (max(sigma, 1e-6) * 2.0.squareRoot())
                return 0.5 * (erf((start + Double(layout.blockSide)) * scale) - erf(start * scale))
            }
        }
        let floor = leastProbability
        for image in 0..<(rows.count / layout.blocksPerImage) {
            let blocks = (0..<layout.blocksPerImage).compactMap { block in
                rows[image * layout.blocksPerImage + block].map { (block: block, row: $0) }
            }
            for y in 0..<side {
                for x in 0..<side where known[image * pixels + y * side + x] > 0 {
                    var total = 0.0
                    var sums = [Double](repeating: 0, count: labels)
                    for (block, row) in blocks {
                        let mass = masses[y][block / n] * masses[x][block % n]
                        total += mass
                        for label in 0..<labels { sums[label] += mass * row[label] }
                    }
                    for label in 0..<labels {
                        let mean = sums[label] / max(total, 1e-12)
                        values[(image * labels + label) * pixels + y * side + x] = Float(
                            floor + (1 - Double(labels) * floor) * mean)
                    }
                }
            }
        }
    }

    private init(probabilities: Tensor, weights: Tensor, knownPixels: Double) {
        self.probabilities = probabilities
        self.weights = weights
        self.knownPixels = knownPixels
    }

    /// The posterior of a network's output given its block: r ∝ p(ℓ) η(ℓ) / μ(ℓ), the E-step of expectation maximisation.
    /// Where the network finds too little of a label in a block its pixels are raised, where too much lowered.
    ///
    /// - Parameter unknownWeight: the weight of pixels of blocks of which nothing is known; their targets are p itself.
    static func rescaled(
        _ logProbabilities: Tensor, blocks: [BlockExpectation?], unknownWeight: Double = 0, layout: BlockLayout,
        device: Device
    ) throws -> PixelTargets {
        let prior = try PixelTargets(
            blocks.map { $0?.means }, labels: logProbabilities.shape[1], layout: layout, device: device)
        let fixed = try logProbabilities.detached()
        let shape = fixed.shape
        let counts = try LabelCounts(logProbabilities: fixed, layout: layout)
        // μ of each pixel's own block, laid out like the prior.
        let means = try counts.means.values()
        let (side, n, labels) = (layout.imageSide, layout.blocksPerSide, shape[1])
        var divisor = [Float](repeating: 1, count: fixed.count)
        for image in 0..<shape[0] {
            for label in 0..<labels {
                for block in 0..<layout.blocksPerImage {
                    let mean = max(means[(image * labels + label) * layout.blocksPerImage + block], 1e-4)
                    let top = layout.margin + block / n * layout.blockSide
                    let left = layout.margin + block % n * layout.blockSide
                    for y in top..<(top + layout.blockSide) {
                        let start = ((image * labels + label) * side + y) * side + left
                        for i in start..<(start + layout.blockSide) { divisor[i] = mean }
                    }
                }
            }
        }
        let raw = try fixed.exponential() * prior.probabilities / Tensor.from(divisor, shape: shape, device: device)
        let total = try raw.sum(1).reshaped([shape[0], 1, shape[2], shape[3]]) + 1e-12
        let targets = try raw / total * prior.weights
        guard unknownWeight > 0, blocks.contains(where: { $0 == nil }) else {
            return PixelTargets(probabilities: targets, weights: prior.weights, knownPixels: prior.knownPixels)
        }
        let even = [Double](repeating: 1 / Double(labels), count: labels)
        let unknown = try PixelTargets(
            blocks.map { $0 == nil ? even : nil }, labels: labels, layout: layout, device: device)
        return PixelTargets(
            probabilities: try targets + fixed.exponential() * unknown.weights,
            weights: try prior.weights + unknown.weights * unknownWeight,
            knownPixels: prior.knownPixels + unknownWeight * unknown.knownPixels)
    }

    /// The mean over known pixels of −Σ t(ℓ) log p(ℓ).
    func crossEntropy(_ logProbabilities: Tensor) throws -> Tensor {
        try (probabilities * logProbabilities * weights).sum() * (-1 / max(1, knownPixels))
    }
}

/// The losses of implicit posterior models (Rolf et al. 2022), given a belief p about each pixel.
enum ImplicitPosterior {
    /// Σ q̄ log q̄ − mean Σ q log p, with q̄ the mean over the batch's known pixels.
    static func qr(_ logProbabilities: Tensor, belief: PixelTargets) throws -> Tensor {
        guard belief.knownPixels > 0 else { return try (logProbabilities * 0).sum() }
        let q = try logProbabilities.exponential() * belief.weights
        let share = 1 / belief.knownPixels
        let mean = try q.sum(0, 2, 3) * share
        let entropy = try (mean * (mean + 1e-12).logarithm()).sum()
        // Unknown pixels have weight 0; the constant keeps their logarithm finite.
        let logBelief = try (belief.probabilities + (-belief.weights + 1)).logarithm()
        return try entropy - (q * logBelief).sum() * share
    }

    /// mean KL(r ‖ q), with r ∝ p q / q̄ for each pixel.
    static func rq(_ logProbabilities: Tensor, belief: PixelTargets) throws -> Tensor {
        guard belief.knownPixels > 0 else { return try (logProbabilities * 0).sum() }
        let shape = logProbabilities.shape
        let share = 1 / belief.knownPixels
        let q = try logProbabilities.exponential()
        let mean = try (q * belief.weights).sum(0, 2, 3).reshaped([1, shape[1], 1, 1]) * share
        let raw = try belief.probabilities * q / (mean + 1e-12)
        let total = try raw.sum(1).reshaped([shape[0], 1, shape[2], shape[3]])
        let posterior = try raw / (total + 1e-12)
        let divergence = try posterior * ((posterior + 1e-12).logarithm() - logProbabilities)
        return try (divergence * belief.weights).sum() * share
    }
}
