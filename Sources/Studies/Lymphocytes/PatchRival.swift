internal import Baselines
internal import BatchWork
internal import Failures
internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster

/// The supervised rivals of the paper, trained on patches with fine labels and cross-validated on the set that is scored.
public enum PatchRival: String, Sendable {
    /// Level set, hand-crafted features, radial-kernel support vector machine.
    case supportVectorMachine
    /// A convolutional network on the patch.
    case network
    /// The same, gone on from an autoencoder of unlabelled patches.
    case pretrained

    private static let folds = 4
    /// Side of the middle of a patch that the networks see, working pixels: 24 µm.
    static let side = 48
    private static let steps = 120
    private static let pretrainingSteps = 200
    private static let batch = 32

    /// The score of every patch by what was learnt from the other folds.
    ///
    /// - Parameters:
    ///   - groups: where each patch was cut from; patches of one place stay in one fold.
    ///   - unlabelled: square images of ``side`` for pretraining.
    func scores(
        of images: [RGBImage], isPositive: [Bool], groups: [String], unlabelled: [RGBImage], encoding: InputEncoding,
        micronsPerPixel: Double, seed: UInt64
    ) throws -> [Double] {
        let validation = CrossValidation(
            isPositive: isPositive, groups: groups, folds: PatchRival.folds, seed: seed)
        if self == .supportVectorMachine {
            let features = images.map { NucleusFeatures.features(of: $0, micronsPerPixel: micronsPerPixel) }
            return try validation.scores { training, testing in
                let machine = try SupportVectorMachine(
                    training.map { features[$0] }, isPositive: training.map { isPositive[$0] })
                return testing.map { machine.decision(features[$0]) }
            }
        }
        let middles = images.map { $0.centred(side: PatchRival.side) }
        let autoencoder = self == .pretrained ? try pretrain(unlabelled, encoding: encoding, seed: seed) : nil
        return try validation.scores { training, testing in
            let classifier = try PatchClassifier(channels: encoding.channels, pretrained: autoencoder, seed: seed)
            let (positives, negatives) = (
                training.filter { isPositive[$0] }, training.filter { !isPositive[$0] }
            )
            guard !positives.isEmpty, !negatives.isEmpty else {
                throw InputError(.unusable, "a fold leaves no patches of one class to learn from")
            }
            try classifier.train(steps: PatchRival.steps) { step in
                var generator = SeededGenerator(seed: seed, stream: UInt64(step))
                let chosen = (0..<PatchRival.batch).map { index in
                    let pool = index % 2 == 0 ? positives : negatives
                    return pool[Int.random(in: 0..<pool.count, using: &generator)]
                }
                return PatchRival.batch(
                    chosen.map { PatchRival.varied(middles[$0], using: &generator) },
                    labels: chosen.map { isPositive[$0] ? 1 : 0 }, encoding: encoding)
            }
            return try stride(from: 0, to: testing.count, by: 64).flatMap { start in
                let part = testing[start..<min(start + 64, testing.count)]
                return try classifier.logOdds(
                    PatchRival.batch(part.map { middles[$0] }, labels: [], encoding: encoding))
            }
        }
    }

    private func pretrain(_ images: [RGBImage], encoding: InputEncoding, seed: UInt64) throws -> SparseAutoencoder {
        guard !images.isEmpty else { throw InputError(.unusable, "there are no unlabelled patches to learn from") }
        let autoencoder = try SparseAutoencoder(channels: encoding.channels, seed: seed)
        try autoencoder.train(steps: PatchRival.pretrainingSteps) { step in
            var generator = SeededGenerator(seed: seed ^ 0x6165, stream: UInt64(step))
            let chosen = (0..<PatchRival.batch).map { _ in
                PatchRival.varied(images[Int.random(in: 0..<images.count, using: &generator)], using: &generator)
            }
            return PatchRival.batch(chosen, labels: [], encoding: encoding)
        }
        return autoencoder
    }

    /// Turned, and stained a little otherwise.
    private static func varied(_ image: RGBImage, using generator: inout SeededGenerator) -> RGBImage {
        let factors = (
            hematoxylin: Float.random(in: 0.85...1.15, using: &generator),
            eosin: Float.random(in: 0.85...1.15, using: &generator)
        )
        return ColorDeconvolution.hematoxylinEosin.restained(image, factors: factors, offsets: (0, 0))
            .turned(Orientation.all[Int.random(in: 0..<8, using: &generator)])
    }

    private static func batch(_ images: [RGBImage], labels: [Int8], encoding: InputEncoding) -> PatchBatch {
        var values: [Float] = []
        for image in images { encoding.append(image, to: &values) }
        return PatchBatch(
            count: images.count, channels: encoding.channels, side: side, values: values, labels: labels)
    }
}
