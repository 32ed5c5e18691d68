import Failures
import Foundation
import Testing
import Torch

@testable import LabelSuperResolution

/// Every criterion against its formula in float64, and its gradient against finite differences of that formula.
struct CriterionTests {
    /// Two images of two by two blocks of 3×3 pixels with a margin of one; one block of the second is unknown.
    private let layout = BlockLayout(margin: 1, blocksPerSide: 2, blockSide: 3)
    private let classes: [Int?] = [0, 1, 2, 1, 1, nil, 0, 2]
    private var side: Int { layout.imageSide }
    private var pixels: Int { side * side }

    private func priors() throws -> LabelPriors {
        try .binary(label: "x", means: [0, 0.15, 0.7], deviations: [0.02, 0.07, 0.1], origin: "test")
    }

    private func blocks() throws -> [BlockExpectation?] {
        try classes.map { try priors().expectation(of: BlockLabel($0)) }
    }

    private func logits(seed: UInt64) -> [Float] {
        var generator = SeededGenerator(seed: seed)
        return (0..<(2 * 2 * pixels)).map { _ in Float(1.5 * generator.nextGaussian()) }
    }

    /// p of both labels at a pixel of an image.
    private func p(_ logits: [Double], _ image: Int, _ pixel: Int) -> [Double] {
        let x = logits[2 * image * pixels + pixel]
        let y = logits[(2 * image + 1) * pixels + pixel]
        let second = 1 / (1 + exp(x - y))
        return [1 - second, second]
    }

    private func block(_ index: Int) -> (image: Int, pixels: [Int]) {
        let (image, inner) = (index / 4, index % 4)
        let (left, top) = (1 + inner % 2 * 3, 1 + inner / 2 * 3)
        return (image, (0..<9).map { (top + $0 / 3) * side + left + $0 % 3 })
    }

    private func formula(_ criterion: Criterion, _ logits: [Double], teacher: [Double]?) throws -> Double {
        let priors = try priors()
        let known = classes.indices.filter { classes[$0] != nil }
        func eta(_ index: Int) -> [Double] { priors.means[classes[index] ?? 0] }
        func rho(_ index: Int) -> Double { priors.deviations[classes[index] ?? 0][1] }
        func counts(_ index: Int) -> (mean: Double, v: Double) {
            let (image, inside) = block(index)
            let values = inside.map { p(logits, image, $0)[1] }
            return (values.reduce(0, +) / 9, values.reduce(0) { $0 + $1 * (1 - $1) } / 9)
        }
        func overBlocks(_ term: (Int, Double, Double) -> Double) -> Double {
            known.reduce(0) { $0 + term($1, counts($1).mean, counts($1).v) } / Double(known.count)
        }
        func overPixels(_ target: (Int, Int) -> [Double]) -> Double {
            var sum = 0.0
            for index in known {
                let (image, inside) = block(index)
                for pixel in inside {
                    let q = p(logits, image, pixel)
                    let t = target(index, pixel)
                    sum -= t[0] * log(q[0]) + t[1] * log(q[1])
                }
            }
            return sum / Double(9 * known.count)
        }
        switch criterion {
        case .statisticsMatching(let m):
            let sum = overBlocks { i, mean, v in
                0.5 * pow(mean - eta(i)[1], 2) / (m.clusterPixels * v / 9 + rho(i) * rho(i))
                    + m.logWeight * 0.5 * (log(v + m.epsilon) + log(2 * .pi / 9))
            }
            let ratio = overBlocks { i, mean, _ in pow((mean - eta(i)[1]) / rho(i), 2) }
            return sum + (m.varianceWeight ?? 0) * pow(log(ratio + 1e-3), 2)
        case .divergence(let epsilon):
            return overBlocks { i, mean, v in
                log(rho(i)) - 0.5 * (log(v + epsilon) - log(9)) + (v / 9 + pow(mean - eta(i)[1], 2))
                    / (2 * rho(i) * rho(i)) - 0.5
            }
        case .squaredError: return overBlocks { i, mean, _ in pow(mean - eta(i)[1], 2) }
        case .absoluteError: return overBlocks { i, mean, _ in abs(mean - eta(i)[1]) }
        case .interval(let radius):
            return overBlocks { i, mean, _ in pow(max(0, abs(mean - eta(i)[1]) - (radius ?? rho(i))), 2) }
        case .softNaive: return overPixels { i, _ in eta(i) }
        case .hardNaive: return overPixels { i, _ in eta(i)[1] > 0.5 ? [0, 1] : [1, 0] }
        case .expectationMaximization:
            let teacher = try #require(teacher)
            return overPixels { i, pixel in
                let (image, inside) = block(i)
                let mean = inside.reduce(0) { $0 + p(teacher, image, $1)[1] } / 9
                let q = p(teacher, image, pixel)
                let raw = [q[0] * eta(i)[0] / (1 - mean), q[1] * eta(i)[1] / mean]
                return raw.map { $0 / (raw[0] + raw[1]) }
            }
        case .implicitPosteriorQR(let blur), .implicitPosteriorRQ(let blur):
            // The belief: each block's η, weighted by the Gaussian's mass over it.
            func mass(_ pixel: Int, _ block: Int) -> Double {
                let start = Double(1 + 3 * block) - Double(pixel) - 0.5
                return 0.5 * (erf((start + 3) / (blur * 2.0.squareRoot())) - erf(start / (blur * 2.0.squareRoot())))
            }
            func belief(_ image: Int, _ pixel: Int) -> [Double] {
                var (total, sum) = (0.0, 0.0)
                for inner in 0..<4 where classes[4 * image + inner] != nil {
                    let weight = mass(pixel / side, inner / 2) * mass(pixel % side, inner % 2)
                    total += weight
                    sum += weight * eta(4 * image + inner)[1]
                }
                let second = 1e-3 + (1 - 2e-3) * sum / total
                return [1 - second, second]
            }
            let all = known.flatMap { index in block(index).pixels.map { (block(index).image, $0) } }
            let n = Double(all.count)
            let mean = all.reduce(0) { $0 + p(logits, $1.0, $1.1)[1] } / n
            let means = [1 - mean, mean]
            if case .implicitPosteriorQR = criterion {
                let cross = all.reduce(0.0) { sum, at in
                    let (q, b) = (p(logits, at.0, at.1), belief(at.0, at.1))
                    return sum + q[0] * log(b[0]) + q[1] * log(b[1])
                }
                return means[0] * log(means[0]) + means[1] * log(means[1]) - cross / n
            }
            return all.reduce(0.0) { sum, at in
                let (q, b) = (p(logits, at.0, at.1), belief(at.0, at.1))
                let raw = [b[0] * q[0] / means[0], b[1] * q[1] / means[1]]
                let r = raw.map { $0 / (raw[0] + raw[1]) }
                return sum + r[0] * log(r[0] / q[0]) + r[1] * log(r[1] / q[1])
            } / n
        }
    }

    private static let matching = StatisticsMatching(epsilon: 0.01, logWeight: 0.7, clusterPixels: 3)

    @Test(arguments: Criterion.names + ["sr, variance matched"])
    func agreesWithItsFormulaAndFiniteDifferences(name: String) throws {
        // Wide enough that blocks run into each other, on blocks of three pixels.
        let criterion: Criterion =
            switch name {
            case "qr": .implicitPosteriorQR(blur: 2)
            case "rq": .implicitPosteriorRQ(blur: 2)
            case "sr, variance matched":
                .statisticsMatching(StatisticsMatching(epsilon: 0.01, logWeight: 0.7, varianceWeight: 0.4))
            default: try #require(Criterion(named: name, matching: CriterionTests.matching))
            }
        #expect(name.hasPrefix(criterion.name))
        let values = logits(seed: 3)
        let teacher = name == "em" ? logits(seed: 8) : nil
        let scores = try Tensor.from(values, shape: [2, 2, side, side])
        try scores.requireGradient()
        let loss = try criterion.loss(
            scores.logSoftmax(dimension: 1), blocks: blocks(), shapes: .grid(layout),
            round: teacher.map { try Tensor.from($0, shape: [2, 2, side, side]).logSoftmax(dimension: 1) },
            device: .cpu)
        let exact = values.map(Double.init)
        let wanted = try formula(criterion, exact, teacher: teacher?.map(Double.init))
        #expect(abs(Double(try loss.item()) - wanted) <= 1e-4 * max(0.1, abs(wanted)))
        try loss.backward()
        let gradient = try #require(scores.gradient).values()
        let width = 1e-5
        for index in stride(from: 0, to: values.count, by: 7) {
            var (up, down) = (exact, exact)
            up[index] += width
            down[index] -= width
            let slope =
                (try formula(criterion, up, teacher: teacher?.map(Double.init))
                    - formula(criterion, down, teacher: teacher?.map(Double.init))) / (2 * width)
            #expect(abs(Double(gradient[index]) - slope) <= 1e-4 * max(0.1, abs(slope)), "\(name) at \(index)")
        }
    }

    /// The grid of blocks as sets of pixels, numbered backwards so that nothing depends on their order.
    private func sets() -> (shapes: BlockShapes, order: [Int]) {
        var numbers = [Int32](repeating: -1, count: 2 * pixels)
        for index in classes.indices {
            let (image, inside) = block(index)
            for pixel in inside { numbers[image * pixels + pixel] = Int32(classes.count - 1 - index) }
        }
        return (
            .sets(PixelSets(imageSide: side, numbers: numbers, count: classes.count)), classes.indices.reversed()
        )
    }

    @Test(arguments: Criterion.names) func setsOfPixelsAreBlocksLikeThoseOfAGrid(name: String) throws {
        // The blur of a grid is exact, that of sets is sampled: without one they agree.
        let criterion: Criterion =
            switch name {
            case "qr": .implicitPosteriorQR(blur: 0)
            case "rq": .implicitPosteriorRQ(blur: 0)
            default: try #require(Criterion(named: name, matching: CriterionTests.matching))
            }
        let (shapes, order) = sets()
        let round = try Tensor.from(logits(seed: 8), shape: [2, 2, side, side]).logSoftmax(dimension: 1)
        func loss(_ shapes: BlockShapes, _ blocks: [BlockExpectation?]) throws -> (Float, [Float]) {
            let scores = try Tensor.from(logits(seed: 3), shape: [2, 2, side, side])
            try scores.requireGradient()
            let loss = try criterion.loss(
                scores.logSoftmax(dimension: 1), blocks: blocks, shapes: shapes, round: name == "em" ? round : nil,
                device: .cpu)
            try loss.backward()
            return (try loss.item(), try #require(scores.gradient).values())
        }
        let blocks = try blocks()
        let (one, gradient) = try loss(.grid(layout), blocks)
        let (other, otherGradient) = try loss(shapes, order.map { blocks[$0] })
        #expect(abs(one - other) <= 1e-5 * max(1, abs(one)))
        #expect(zip(gradient, otherGradient).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    /// A block of weight 2 is as good as two of them.
    @Test(arguments: ["sr", "kl", "l2", "interval", "soft", "em"]) func weightsAreMultiplicities(name: String) throws {
        let criterion = try #require(Criterion(named: name, matching: CriterionTests.matching))
        let blocks = try blocks()
        let scores = try Tensor.from(logits(seed: 4), shape: [2, 2, side, side]).logSoftmax(dimension: 1)
        let round =
            name == "em" ? try Tensor.from(logits(seed: 8), shape: [2, 2, side, side]).logSoftmax(dimension: 1) : nil
        func loss(_ chosen: [BlockExpectation?], _ weights: [Float]) throws -> Double {
            Double(
                try criterion.loss(
                    scores, blocks: chosen, weights: weights, shapes: .grid(layout), round: round, device: .cpu
                ).item())
        }
        func only(_ index: Int) throws -> Double {
            try loss(blocks.enumerated().map { $0 == index ? $1 : nil }, [])
        }
        let weights: [Float] = [2, 1, 1, 0.5, 1, 1, 3, 1]
        let known = blocks.indices.filter { blocks[$0] != nil }
        let sum = try known.reduce(0) { $0 + Double(weights[$1]) * (try only($1)) }
        let wanted = sum / known.reduce(0) { $0 + Double(weights[$1]) }
        #expect(abs(try loss(blocks, weights) - wanted) < 1e-4 * max(1, abs(wanted)))
        let even = [Float](repeating: 1, count: blocks.count)
        #expect(try loss(blocks, even) == loss(blocks, []))
    }

    @Test func blocksOfDifferentSizesHaveTheirOwnVariance() throws {
        // One pixel, five pixels, and one without any, which is unknown.
        let numbers: [Int32] = [0, -1, 1, 1, 1, 1, 1, -1, -1]
        let shapes = BlockShapes.sets(PixelSets(imageSide: 3, numbers: numbers, count: 3))
        #expect(shapes.runs(of: 1) == [2..<3, 3..<6, 6..<7] && (0..<3).map(shapes.size) == [1, 5, 0])
        let logits = (0..<18).map { Float($0 % 5) / 3 - 0.6 }
        let probabilities = (0..<9).map { 1 / (1 + exp(Double(logits[$0] - logits[9 + $0]))) }
        let blocks: [BlockExpectation?] = [
            try priors().expectation(of: .coarseClass(1)), try priors().expectation(of: .coarseClass(2)), nil,
        ]
        var wanted = 0.0
        for (index, members) in [[0], [2, 3, 4, 5, 6]].enumerated() {
            let expectation = try #require(blocks[index])
            let (n, values) = (Double(members.count), members.map { probabilities[$0] })
            let mean = values.reduce(0, +) / n
            let v = values.reduce(0) { $0 + $1 * (1 - $1) } / n
            let gap = mean - expectation.means[1]
            let rho = expectation.deviations[1]
            wanted += 0.5 * gap * gap / (v / n + rho * rho) + 0.5 * log(2 * .pi * (v + 0.03) / n)
        }
        let loss = try StatisticsMatching()(
            Tensor.from(logits, shape: [1, 2, 3, 3]).logSoftmax(dimension: 1), blocks: blocks, shapes: shapes,
            device: .cpu)
        #expect(abs(Double(try loss.item()) - wanted / 2) < 1e-4)
    }

    /// λ_sr · coarse + λ_hint · hints + λ_hr · fine, and its gradient; pixels labelled −1 must not count.
    @Test(arguments: ["sr", "hr", "hr+sr"]) func theWholeLossAgreesWithItsFormulaAndFiniteDifferences(name: String)
        throws
    {
        var configuration = TrainingPreset.fast.configuration(inputChannels: 1, labels: 2, seed: 1)
        configuration.objective = try Objective(
            named: name, matching: CriterionTests.matching, coarseWeight: 2, fineWeight: 5)
        #expect(configuration.objective.name == name)
        configuration.hintWeight = 3
        let values = logits(seed: 6)
        // Every third pixel is labelled by a hint, every fifth by a mask, the others not.
        let hints = (0..<2 * pixels).map { Int8($0 % 3 == 0 ? 0 : -1) }
        let masks = (0..<2 * pixels).map { Int8($0 % 5 == 0 ? $0 % 2 : -1) }
        func crossEntropy(_ logits: [Double], _ labels: [Int8]) -> Double {
            let known = labels.indices.filter { labels[$0] >= 0 }
            return known.reduce(0) { $0 - log(p(logits, $1 / pixels, $1 % pixels)[Int(labels[$1])]) }
                / Double(known.count)
        }
        func wanted(_ logits: [Double]) throws -> Double {
            let coarse =
                name == "hr" ? 0 : try formula(.statisticsMatching(CriterionTests.matching), logits, teacher: nil)
            let hints = name == "hr" ? 0 : crossEntropy(logits, hints)
            let fine = name == "sr" ? 0 : crossEntropy(logits, masks)
            return 2 * coarse + 3 * hints + 5 * fine
        }
        let scores = try Tensor.from(values, shape: [2, 2, side, side])
        try scores.requireGradient()
        let batch = BlockBatch(
            layout: layout, channels: 1, input: [Float](repeating: 0, count: 2 * pixels),
            blocks: classes.map { BlockLabel($0) }, hints: hints, fineLabels: masks)
        let loss = try BatchLoss(
            scores.logSoftmax(dimension: 1), batch: batch, configuration: configuration, step: 1,
            priors: priors(), device: .cpu
        ).total
        let exact = values.map(Double.init)
        #expect(abs(Double(try loss.item()) - (try wanted(exact))) <= 1e-4 * max(0.1, abs(try wanted(exact))))
        try loss.backward()
        let gradient = try #require(scores.gradient).values()
        let width = 1e-5
        for index in stride(from: 0, to: values.count, by: 3) {
            var (up, down) = (exact, exact)
            up[index] += width
            down[index] -= width
            let slope = (try wanted(up) - wanted(down)) / (2 * width)
            #expect(abs(Double(gradient[index]) - slope) <= 1e-4 * max(0.1, abs(slope)), "\(name) at \(index)")
        }
    }

    @Test func intervalWithItsOwnRadiusIsFlatInside() throws {
        let scores = try Tensor.from(logits(seed: 1), shape: [2, 2, side, side])
        let loss = try Criterion.interval(radius: 1).loss(
            scores.logSoftmax(dimension: 1), blocks: blocks(), shapes: .grid(layout), device: .cpu)
        #expect(try loss.item() == 0)
    }

    @Test func hardNaiveIsConstantWhereNoClassIsMostlyTheLabel() throws {
        let low = try LabelPriors.binary(
            label: "x", means: [0, 0.2, 0.5], deviations: [0.1, 0.1, 0.1], origin: "test")
        #expect(Criterion.hardNaive.constantLabel(priors: low) == 0)
        #expect(try Criterion.hardNaive.constantLabel(priors: priors()) == nil)
        #expect(Criterion.softNaive.constantLabel(priors: low) == nil)
        let network = try UNet(
            UNetArchitecture(inputChannels: 3, labels: 2, widths: [4], convolutionsPerLevel: 1, batchNormMomentum: 0.1),
            seed: 1)
        try network.makeConstant(label: 0)
        var generator = SeededGenerator(seed: 2)
        let image = ImageBatch(
            count: 1, channels: 3, height: 8, width: 8,
            values: (0..<192).map { _ in Float.random(in: -1...1, using: &generator) })
        let logOdds = try TorchSegmentationNetwork([network]).logOdds(image)
        #expect(Set(logOdds).count == 1)
        #expect(logOdds[0] < 0)
        let auc = try AreaUnderCurve(
            scores: logOdds.map(Double.init), isPositive: logOdds.indices.map { $0 % 3 == 0 })
        #expect(auc.value == 0.5)
    }

    /// A block that brings the numbers of a class gives what the class gives; classes and blocks of their own mix in a batch.
    @Test(arguments: Criterion.names) func blocksWithExpectationsOfTheirOwnAreAsClasses(name: String) throws {
        let priors = try priors()
        let own = try classes.enumerated().map { index, known -> BlockLabel in
            guard let known, index % 2 == 0 else { return BlockLabel(known) }
            return .expectation(
                try BlockExpectation(means: priors.means[known], deviations: priors.deviations[known]))
        }
        let criterion = try #require(Criterion(named: name, matching: CriterionTests.matching))
        let scores = try Tensor.from(logits(seed: 4), shape: [2, 2, side, side]).logSoftmax(dimension: 1)
        func loss(_ labels: [BlockLabel]) throws -> Float {
            try criterion.loss(
                scores, blocks: labels.map { try priors.expectation(of: $0) }, shapes: .grid(layout), device: .cpu
            ).item()
        }
        #expect(try loss(own) == loss(classes.map { BlockLabel($0) }))
        let foreign = try BlockExpectation(means: [0.5, 0.3, 0.2], deviations: [0.1, 0.1, 0.1])
        #expect(throws: MethodError.self) { try priors.expectation(of: .expectation(foreign)) }
        #expect(throws: MethodError.self) { try BlockExpectation(means: [0.5, 0.6], deviations: [0.1, 0.1]) }
    }

    /// Blocks of which nothing is known teach what the networks find there, as it is; known ones what their label makes of it.
    @Test func unknownBlocksTeachWhatIsFoundInThem() throws {
        let layout = BlockLayout(margin: 0, blocksPerSide: 2, blockSide: 1)
        let p: [Float] = [0.1, 0.2, 0.3, 0.4]
        let values = p.map { log(1 - $0) } + p.map { log($0) }
        let found = try Tensor.from(values, shape: [1, 2, 2, 2], device: .cpu)
        let known = try BlockExpectation(means: [0.4, 0.6], deviations: [0.1, 0.1])
        let blocks: [BlockExpectation?] = [known, nil, nil, known]
        let targets = try PixelTargets.rescaled(
            found, blocks: blocks, unknownWeight: 0.5, shapes: .grid(layout), device: .cpu)
        let lymphocyte = try Array(targets.probabilities.values()[4...])
        // One pixel a block: the label's own share is all that is left of what was found.
        for (value, wanted) in zip(lymphocyte, [0.6, 0.2, 0.3, 0.6] as [Float]) { #expect(abs(value - wanted) < 1e-4) }
        #expect(try targets.weights.values() == [1, 0.5, 0.5, 1] && targets.knownPixels == 3)
        let without = try PixelTargets.rescaled(found, blocks: blocks, shapes: .grid(layout), device: .cpu)
        #expect(try without.weights.values() == [1, 0, 0, 1] && without.knownPixels == 2)
        // The mean over weights of −Σ t log p.
        let loss = try Double(targets.crossEntropy(found).item())
        func term(_ t: Double, _ p: Double) -> Double { -(1 - t) * log(1 - p) - t * log(p) }
        let wanted = (term(0.6, 0.1) + 0.5 * term(0.2, 0.2) + 0.5 * term(0.3, 0.3) + term(0.6, 0.4)) / 3
        #expect(abs(loss - wanted) < 1e-5)
    }

    @Test func unknownNamesAreRefused() {
        #expect(throws: MethodError.self) { try Objective(named: "magic", matching: StatisticsMatching()) }
        #expect(Set(Objective.names).isSuperset(of: Criterion.names))
    }

    @Test func roundsOfExpectationMaximisationDependOnTheStepAlone() {
        var configuration = TrainingPreset.fast.configuration(inputChannels: 3, labels: 2, seed: 1)
        #expect(!(1...700).contains { configuration.beginsRound($0) })
        configuration.objective = Objective(.expectationMaximization(StatisticsMatching()))
        configuration.schedule = .cosine(warmup: 5, length: 400)
        #expect((1...600).filter { configuration.beginsRound($0) } == [201, 301, 401, 501])
        #expect(!configuration.hasRound(at: 200))
        #expect(configuration.hasRound(at: 201))
    }
}
