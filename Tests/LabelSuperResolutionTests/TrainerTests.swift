import Foundation
import GraticuleTesting
import Testing
import Torch

@testable import LabelSuperResolution

/// Bright squares on noise, of which only the number a block is known.
private struct SquareSource: BlockSource {
    var identity = "squares"
    /// A student's images are the negatives of what its teachers see.
    var isNegative = false
    /// Whether the squares are given as evidence.
    var givesEvidence = false
    let layout = BlockLayout(margin: 4, blocksPerSide: 1, blockSide: 24)

    private func make(_ generator: inout SeededGenerator, count: Int) -> BlockBatch {
        var input: [Float] = []
        var classes: [Int?] = []
        var evidence: [Float] = []
        let side = layout.imageSide
        for _ in 0..<count {
            let known = Int.random(in: 0..<3, using: &generator)
            var image = (0..<(side * side)).map { _ in Float(0.3 * generator.nextGaussian()) }
            var squares = [Float](repeating: 0, count: side * side)
            for square in 0..<(3 * known) {
                let (left, top) = (layout.margin + square % 3 * 8, layout.margin + square / 3 * 8)
                for y in top..<(top + 5) { for x in left..<(left + 5) { squares[y * side + x] = 1 } }
            }
            for i in image.indices { image[i] += 2 * squares[i] }
            if givesEvidence { evidence += squares }
            input += image
            classes.append(known)
        }
        return BlockBatch(
            layout: layout, channels: 1, input: isNegative ? input.map { -$0 } : input, classes: classes,
            pixelLabels: [Int8](repeating: -1, count: count * side * side), teacherInput: isNegative ? input : [],
            evidence: evidence)
    }

    func batch(step: Int, count: Int, seed: UInt64) throws -> BlockBatch {
        var generator = SeededGenerator(seed: seed, stream: UInt64(step))
        return make(&generator, count: count)
    }

    func validationBatches() throws -> [BlockBatch] {
        var generator = SeededGenerator(seed: 99)
        return [make(&generator, count: 12)]
    }
}

struct TrainerTests {
    private func configuration() -> TrainingConfiguration {
        var configuration = TrainingPreset.fast.configuration(inputChannels: 1, labels: 2, seed: 4)
        configuration.architecture.widths = [4, 6]
        configuration.batchSize = 4
        configuration.schedule = .cosine(warmup: 10, length: 400)
        return configuration
    }

    private func priors() throws -> LabelPriors {
        try .binary(
            label: "square", means: [0, 75.0 / 576, 150.0 / 576], deviations: [0.01, 0.02, 0.02], origin: "test")
    }

    @discardableResult
    private func train(
        _ folder: URL, steps: Int, resume: Bool = false, change: (inout TrainingConfiguration) -> Void = { _ in }
    ) throws -> ValidationMetrics? {
        let model = ModelFolder(folder)
        try model.create()
        var configuration = configuration()
        change(&configuration)
        let trainer = try Trainer(configuration: configuration, priors: priors(), source: SquareSource())
        return try trainer.train(into: model, steps: steps, resume: resume, preview: { _, _ in }, progress: { _ in })
    }

    private func weights(_ folder: URL) throws -> Data { try Data(contentsOf: ModelFolder(folder).weights) }

    @Test func learnsSquaresFromCountsAlone() throws {
        try TestFolders.withTemporary { folder in
            let validation = try #require(try train(folder, steps: 400))
            #expect(validation.correlation > 0.95)
            #expect(validation.absoluteError < 0.05)
        }
    }

    @Test func theSameSeedGivesTheSameBytes() throws {
        try TestFolders.withTemporary { folder in
            let folders = ["a", "b"].map { folder.appendingPathComponent($0) }
            for folder in folders { try train(folder, steps: 12) }
            #expect(try weights(folders[0]) == weights(folders[1]))
        }
    }

    @Test func aResumedRunEqualsAnUninterruptedOne() throws {
        try TestFolders.withTemporary { folder in
            let (whole, parts) = (folder.appendingPathComponent("whole"), folder.appendingPathComponent("parts"))
            try train(whole, steps: 60)
            try train(parts, steps: 25)
            try train(parts, steps: 60, resume: true)
            #expect(try weights(whole) == weights(parts))
            let lines = try String(contentsOf: ModelFolder(parts).metrics, encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 61, "one line a step and the header")
        }
    }

    /// The network that labels the pixels of a round is part of the checkpoint.
    @Test func expectationMaximisationResumesWithinARound() throws {
        func change(_ configuration: inout TrainingConfiguration) {
            configuration.use(.expectationMaximization(StatisticsMatching()))
            configuration.schedule = .cosine(warmup: 5, length: 40)
        }
        try TestFolders.withTemporary { folder in
            let (whole, parts) = (folder.appendingPathComponent("whole"), folder.appendingPathComponent("parts"))
            try train(whole, steps: 36, change: change)
            try train(parts, steps: 26, change: change)
            try train(parts, steps: 36, resume: true, change: change)
            #expect(try weights(whole) == weights(parts))
        }
    }

    /// A student of a network that finds the squares finds them as well; without its loss it would not move.
    @Test func aStudentLearnsWhatItsTeacherFinds() throws {
        try TestFolders.withTemporary { folder in
            let taught = folder.appendingPathComponent("teacher")
            try train(taught, steps: 300)
            let teacher = try UNet(configuration().architecture, seed: 0)
            try Safetensors.read(ModelFolder(taught).weights, into: teacher.tensors)
            var settings = configuration().student
            #expect(settings.seed != configuration().seed && !settings.selfTraining)
            settings.coarseWeight = 0
            let trainer = try Trainer(
                configuration: settings, priors: priors(), source: SquareSource(), teachers: [teacher])
            let model = ModelFolder(folder.appendingPathComponent("student"))
            try model.create()
            let validation = try #require(
                try trainer.train(into: model, steps: 300, resume: false, preview: { _, _ in }, progress: { _ in }))
            #expect(validation.correlation > 0.9)
        }
    }

    /// Nothing but what its teachers find: neither counts nor colours.
    private func trainStudent(
        _ folder: URL, of teacher: UNet, source: SquareSource, evidenceWeight: Double?
    ) throws -> ValidationMetrics? {
        var settings = configuration().student
        settings.coarseWeight = 0
        settings.evidenceWeight = evidenceWeight
        let trainer = try Trainer(configuration: settings, priors: priors(), source: source, teachers: [teacher])
        let model = ModelFolder(folder)
        try model.create()
        return try trainer.train(into: model, steps: 200, resume: false, preview: { _, _ in }, progress: { _ in })
    }

    /// The teacher sees the image, the student its negative: were the teacher shown the same, it would find no square.
    @Test func teachersSeeTheImageAsItIs() throws {
        try TestFolders.withTemporary { folder in
            let taught = folder.appendingPathComponent("teacher")
            try train(taught, steps: 300)
            let teacher = try UNet(configuration().architecture, seed: 0)
            try Safetensors.read(ModelFolder(taught).weights, into: teacher.tensors)
            let validation = try #require(
                try trainStudent(
                    folder.appendingPathComponent("student"), of: teacher, source: SquareSource(isNegative: true),
                    evidenceWeight: nil))
            #expect(validation.correlation > 0.9)
        }
    }

    /// The pixel variance of a network that knows where the squares are is small; that of one that knows their number only is not.
    @Test func evidenceTellsWhichPixelsOfABlockAreMeant() throws {
        try TestFolders.withTemporary { folder in
            let teacher = try UNet(configuration().architecture, seed: 0)
            try teacher.makeConstant(label: 0)
            func variance(_ weight: Double?) throws -> Double {
                let student = folder.appendingPathComponent("student \(weight ?? 0)")
                return try #require(
                    try trainStudent(
                        student, of: teacher, source: SquareSource(givesEvidence: true), evidenceWeight: weight)
                ).pixelVariance
            }
            #expect(try variance(8) < 0.5 * variance(nil))
        }
    }

    @Test func hardNaiveIsConstantWithoutASingleStep() throws {
        try TestFolders.withTemporary { folder in
            try train(folder, steps: 50) { $0.use(.hardNaive) }
            let network = try UNet(configuration().architecture, seed: 0)
            try Safetensors.read(ModelFolder(folder).weights, into: network.tensors)
            let batch = try SquareSource().batch(step: 1, count: 2, seed: 1)
            let side = batch.layout.imageSide
            let logOdds = try TorchSegmentationNetwork([network]).logOdds(
                ImageBatch(count: 2, channels: 1, height: side, width: side, values: batch.input))
            #expect(Set(logOdds).count == 1)
        }
    }

    @Test func aCheckpointOfOtherSettingsIsRefused() throws {
        try TestFolders.withTemporary { folder in
            try train(folder, steps: 3)
            var other = configuration()
            other.learningRate = 1
            let trainer = try Trainer(configuration: other, priors: priors(), source: SquareSource())
            #expect(throws: MethodError.self) {
                try trainer.train(
                    into: ModelFolder(folder), steps: 5, resume: true, preview: { _, _ in }, progress: { _ in })
            }
        }
    }

    @Test func aCheckpointOfOtherDataIsRefused() throws {
        try TestFolders.withTemporary { folder in
            try train(folder, steps: 3)
            let other = SquareSource(identity: "other squares")
            let trainer = try Trainer(configuration: configuration(), priors: priors(), source: other)
            #expect(throws: MethodError.self) {
                try trainer.train(
                    into: ModelFolder(folder), steps: 5, resume: true, preview: { _, _ in }, progress: { _ in })
            }
        }
    }

    @Test func anUnfinishedFolderIsNoModel() throws {
        try TestFolders.withTemporary { folder in
            try train(folder, steps: 3)
            #expect(throws: MethodError.self) { try ModelFolder(folder).load() }
        }
    }
}
