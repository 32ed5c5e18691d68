internal import Foundation
internal import Torch

/// A distribution over the labels for each pixel of a batch's blocks; nothing is known of the margin.
struct PixelTargets {
    /// `NLHW` like the network's output; zero where nothing is known.
    let probabilities: Tensor
    /// The block's weight, 1 where none is given, for pixels of known blocks, else 0; `N1HW`.
    let weights: Tensor
    /// The sum of the weights.
    let knownPixels: Double

    /// No belief is surer than this: a prior of exactly 0 or 1 would make log p infinite.
    static let leastProbability = 1e-3

    /// Each pixel gets the row of its block.
    ///
    /// - Parameters:
    ///   - rows: a distribution over the labels for each block; nil where it is unknown.
    ///   - blur: standard deviation in pixels by which the rows run into each other, and below which no probability is
    ///     under ``leastProbability``; nil for the rows as they are.
    init(
        _ rows: [[Double]?], labels: Int, weights blockWeights: [Float] = [], shapes: BlockShapes, blur: Double? = nil,
        device: Device
    ) throws {
        let side = shapes.imageSide
        let images = shapes.imageCount(blocks: rows.count)
        let pixels = side * side
        var values = [Float](repeating: 0, count: images * labels * pixels)
        var known = [Float](repeating: 0, count: images * pixels)
        for (index, row) in rows.enumerated() {
            guard let row else { continue }
            for run in shapes.runs(of: index) {
                let image = run.lowerBound / pixels
                for place in run { known[place] = blockWeights.isEmpty ? 1 : blockWeights[index] }
                for label in 0..<labels {
                    let shift = (image * labels + label - image) * pixels
                    for place in run { values[place + shift] = Float(row[label]) }
                }
            }
        }
        if let blur {
            switch shapes {
            case .grid(let layout):
                PixelTargets.blur(&values, known: known, rows: rows, labels: labels, layout: layout, by: blur)
            case .sets: PixelTargets.blur(&values, known: known, labels: labels, side: side, by: blur)
            }
        }
        probabilities = try Tensor.from(values, shape: [images, labels, side, side], device: device)
        weights = try Tensor.from(known, shape: [images, 1, side, side], device: device)
        knownPixels = known.reduce(0) { $0 + Double($1) }
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

    /// The same for blocks of any shape: a Gaussian over known pixels alone, cut off at three standard deviations.
    private static func blur(
        _ values: inout [Float], known: [Float], labels: Int, side: Int, by sigma: Double
    ) {
        let reach = min(side - 1, Int((3 * sigma).rounded(.up)))
        let kernel = (0...reach).map { Float(exp(-Double($0 * $0) / (2 * max(sigma * sigma, 1e-12)))) }
        let pixels = side * side
        func smooth(_ plane: [Float]) -> [Float] {
            func pass(_ source: [Float], step: Int, across: Int) -> [Float] {
                var result = [Float](repeating: 0, count: pixels)
                for line in 0..<side {
                    for i in 0..<side {
                        var sum: Float = 0
                        for j in max(0, i - reach)...min(side - 1, i + reach) {
                            sum += kernel[abs(i - j)] * source[line * across + j * step]
                        }
                        result[line * across + i * step] = sum
                    }
                }
                return result
            }
            return pass(pass(plane, step: 1, across: side), step: side, across: 1)
        }
        let floor = Float(leastProbability)
        for image in 0..<(known.count / pixels) {
            let mask = Array(known[(image * pixels)..<((image + 1) * pixels)])
            let mass = smooth(mask)
            for label in 0..<labels {
                let start = (image * labels + label) * pixels
                let sums = smooth(Array(values[start..<(start + pixels)]))
                for i in 0..<pixels where mask[i] > 0 {
                    values[start + i] = floor + (1 - Float(labels) * floor) * sums[i] / max(mass[i], 1e-12)
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
        _ logProbabilities: Tensor, blocks: [BlockExpectation?], weights blockWeights: [Float] = [],
        unknownWeight: Double = 0, shapes: BlockShapes,
        device: Device
    ) throws -> PixelTargets {
        let prior = try PixelTargets(
            blocks.map { $0?.means }, labels: logProbabilities.shape[1], weights: blockWeights, shapes: shapes,
            device: device)
        let fixed = try logProbabilities.detached()
        let shape = fixed.shape
        let counts = try LabelCounts(logProbabilities: fixed, shapes: shapes, device: device)
        // μ of each pixel's own block, laid out like the prior.
        let means = try counts.means.values()
        let (labels, pixels) = (shape[1], shape[2] * shape[3])
        let perImage = blocks.count / counts.means.shape[0]
        var divisor = [Float](repeating: 1, count: fixed.count)
        for block in blocks.indices {
            let (group, own) = (block / max(1, perImage), block % max(1, perImage))
            let runs = shapes.runs(of: block)
            for label in 0..<labels {
                let mean = max(means[(group * labels + label) * perImage + own], 1e-4)
                for run in runs {
                    let image = run.lowerBound / pixels
                    let shift = (image * labels + label - image) * pixels
                    for place in run { divisor[place + shift] = mean }
                }
            }
        }
        let raw = try fixed.exponential() * prior.probabilities / Tensor.from(divisor, shape: shape, device: device)
        let total = try raw.sum(1).reshaped([shape[0], 1, shape[2], shape[3]]) + 1e-12
        let targets = try raw / total
        guard unknownWeight > 0, blocks.contains(where: { $0 == nil }) else {
            return PixelTargets(probabilities: targets, weights: prior.weights, knownPixels: prior.knownPixels)
        }
        let even = [Double](repeating: 1 / Double(labels), count: labels)
        let unknown = try PixelTargets(
            blocks.map { $0 == nil ? even : nil }, labels: labels, shapes: shapes, device: device)
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
