import Failures
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
    /// Whether teachers see the images themselves then.
    var givesTeacherInput = true
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
            layout: layout, channels: 1, input: isNegative ? input.map { -$0 } : input,
            blocks: classes.map { BlockLabel($0) },
            teacherInput: isNegative && givesTeacherInput ? input : [], evidence: evidence)
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

private struct NoSettings: ModelSettings {
    static let application = "squares"
    func flaw(for architecture: UNetArchitecture) -> String? { nil }
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

    /// A stop between two checkpoints keeps the steps that were done.
    @Test func aStoppedRunGoesOnWhereItStopped() throws {
        try TestFolders.withTemporary { folder in
            let (whole, parts) = (folder.appendingPathComponent("whole"), folder.appendingPathComponent("parts"))
            try train(whole, steps: 30)
            let model = ModelFolder(parts)
            try model.create()
            let trainer = try Trainer(configuration: configuration(), priors: priors(), source: SquareSource())
            var steps = 0
            #expect(throws: CancellationError.self) {
                try trainer.train(
                    into: model, steps: 30, resume: false, stop: { steps == 17 }, preview: { _, _ in },
                    progress: { steps = $0.step })
            }
            #expect(try Safetensors.metadata(of: model.checkpoint)["step"] == "17")
            #expect(!FileManager.default.fileExists(atPath: model.weights.path))
            try train(parts, steps: 30, resume: true)
            #expect(try weights(whole) == weights(parts))
        }
    }

    /// The network that labels the pixels of a round is part of the checkpoint.
    @Test func expectationMaximisationResumesWithinARound() throws {
        func change(_ configuration: inout TrainingConfiguration) {
            configuration.objective = Objective(.expectationMaximization(StatisticsMatching()))
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

    /// A network that knows nothing.
    private func constant() throws -> UNet {
        let network = try UNet(configuration().architecture, seed: 0)
        try network.makeConstant(label: 0)
        return network
    }

    /// A network that knows where the squares are; counts alone do not tell it here, since any pixels would do for them.
    private func squareFinder(_ folder: URL) throws -> UNet {
        try teach(folder, teacher: constant(), source: SquareSource(givesEvidence: true), evidenceWeight: 8)
        let network = try UNet(configuration().architecture, seed: 0)
        try Safetensors.read(ModelFolder(folder).weights, into: network.tensors)
        return network
    }

    /// What a student has learnt: how its counts agree with the classes, and its mean probability in the squares minus that
    /// beside them.
    private struct Lesson {
        let correlation: Double
        let separation: Double
    }

    /// Nothing but what its teacher finds is taught: neither counts nor hints.
    @discardableResult
    private func teach(
        _ folder: URL, teacher: UNet, steps: Int = 200, source: SquareSource = SquareSource(),
        evidenceWeight: Double = 0
    ) throws -> Lesson {
        var own = configuration()
        own.student?.evidenceWeight = evidenceWeight
        var settings = try #require(own.studentConfiguration)
        settings.objective.coarseWeight = 0
        let trainer = try Trainer(configuration: settings, priors: priors(), source: source, teachers: [teacher])
        let model = ModelFolder(folder)
        try model.create()
        let validation = try #require(
            try trainer.train(into: model, steps: steps, resume: false, preview: { _, _ in }, progress: { _ in }))
        let student = try UNet(configuration().architecture, seed: 0)
        try Safetensors.read(model.weights, into: student.tensors)
        var shown = source
        shown.givesEvidence = true
        let batch = try shown.batch(step: 1_000_000, count: 12, seed: 8)
        let side = batch.imageSide
        let logOdds = try TorchSegmentationNetwork([student]).logOdds(
            ImageBatch(count: 12, channels: 1, height: side, width: side, values: batch.input))
        var (inside, outside) = ((0.0, 0.0), (0.0, 0.0))
        // Images without squares say nothing of where squares are found.
        for image in 0..<12 where batch.blocks[image] != .coarseClass(0) {
            for i in (image * side * side)..<((image + 1) * side * side) {
                let p = Double(1 / (1 + exp(-logOdds[i])))
                if batch.evidence[i] > 0 {
                    inside = (inside.0 + p, inside.1 + 1)
                } else {
                    outside = (outside.0 + p, outside.1 + 1)
                }
            }
        }
        return Lesson(
            correlation: validation.correlation, separation: inside.0 / inside.1 - outside.0 / outside.1)
    }

    @Test func aStudentLearnsWhatItsTeacherFinds() throws {
        let own = configuration()
        let student = try #require(own.studentConfiguration)
        #expect(student.seed != own.seed && student.student == nil && student.objective.name == "self")
        // Without teachers it cannot be trained, and members take none.
        #expect(throws: MethodError.self) {
            try Trainer(configuration: student, priors: priors(), source: SquareSource())
        }
        #expect(throws: MethodError.self) {
            try Trainer(configuration: own, priors: priors(), source: SquareSource(), teachers: [constant()])
        }
        try TestFolders.withTemporary { folder in
            let teacher = try squareFinder(folder.appendingPathComponent("teacher"))
            let lesson = try teach(folder.appendingPathComponent("student"), teacher: teacher, steps: 300)
            #expect(lesson.correlation > 0.9 && lesson.separation > 0.5, "\(lesson)")
        }
    }

    /// The teacher sees the image, the student its negative; a teacher that is shown the negative as well finds no square.
    @Test func teachersSeeTheImageAsItIs() throws {
        try TestFolders.withTemporary { folder in
            let teacher = try squareFinder(folder.appendingPathComponent("teacher"))
            let lesson = try teach(
                folder.appendingPathComponent("student"), teacher: teacher, source: SquareSource(isNegative: true))
            #expect(lesson.separation > 0.5, "\(lesson)")
            let blind = try teach(
                folder.appendingPathComponent("blind"), teacher: teacher,
                source: SquareSource(isNegative: true, givesTeacherInput: false))
            #expect(blind.separation < 0.3, "\(blind)")
        }
    }

    /// Its teacher knows nothing; without evidence a student learns how many pixels are meant and not which.
    @Test func evidenceTellsWhichPixelsOfABlockAreMeant() throws {
        try TestFolders.withTemporary { folder in
            let (teacher, source) = (try constant(), SquareSource(givesEvidence: true))
            let lesson = try teach(
                folder.appendingPathComponent("told"), teacher: teacher, source: source, evidenceWeight: 8)
            #expect(lesson.separation > 0.5, "\(lesson)")
            let untold = try teach(folder.appendingPathComponent("untold"), teacher: teacher, source: source)
            #expect(untold.separation < 0.3, "\(untold)")
        }
    }

    @Test func hardNaiveIsConstantWithoutASingleStep() throws {
        try TestFolders.withTemporary { folder in
            try train(folder, steps: 50) { $0.objective = Objective(.hardNaive) }
            let network = try UNet(configuration().architecture, seed: 0)
            try Safetensors.read(ModelFolder(folder).weights, into: network.tensors)
            let batch = try SquareSource().batch(step: 1, count: 2, seed: 1)
            let side = batch.imageSide
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
            #expect(throws: MethodError.self) { try ModelFolder(folder).load(NoSettings.self) }
        }
    }
}
