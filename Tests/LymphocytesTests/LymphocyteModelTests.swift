import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import Testing

@testable import Lymphocytes

/// `model.json`, today's and that of the version before.
struct LymphocyteModelTests {
    private func old(criterion: String, fineWeight: Double, selfTraining: Bool) -> Data {
        Data(
            """
            {"format": 3, "architecture": {"batchNormMomentum": 0.1, "convolutionsPerLevel": 2, "inputChannels": 5, "labels": 2,
             "prior": {"channel": 3, "radius": 5, "weight": 2.5}, "stride": 2, "widths": [16, 32]},
             "inputEncoding": "rgb+he", "labels": ["other", "lymphocyte"], "members": 1, "micronsPerPixel": 0.5,
             "priors": {"labels": ["other", "lymphocyte"], "means": [[1, 0], [0.8, 0.2]],
               "deviations": [[0.01, 0.01], [0.05, 0.05]], "origin": "test"},
             "slides": [{"name": "p", "regions": 247, "validationRegions": 29}], "steps": 2, "temperature": 0.25,
             "threshold": 0.9,
             "training": {"architecture": {"batchNormMomentum": 0.1, "convolutionsPerLevel": 2, "inputChannels": 5,
                 "labels": 2, "prior": {"channel": 3, "radius": 5, "weight": 2.5}, "stride": 2, "widths": [16, 32]},
               "averaging": 0.99, "batchSize": 6, "coarseWeight": 1, "colorDarkestMultiple": 1.5,
               "colorLabelFraction": 0.2, "criterion": \(criterion), "evidenceWeight": 20, "fineFraction": 0.5,
               "fineWeight": \(fineWeight), "frequencyExponent": 0.5, "gradientNorm": 1, "learningRate": 0.002,
               "logarithmRamp": 0, "members": 3, "noise": {"blur": 1, "deviation": 6, "gamma": 0.2, "stainJitter": 0.45},
               "optimizer": "adam", "pixelWeight": 1, "schedule": {"cosine": {"length": 600, "warmup": 50}}, "seed": 1,
               "selfTraining": \(selfTraining), "stainJitter": 0.3, "steps": 600},
             "versions": {"graticule": "0.1.0"}}
            """.utf8)
    }

    private func read(_ data: Data) throws -> LymphocyteModelDescription {
        try TestFolders.withTemporary { folder in
            let model = ModelFolder(folder)
            try data.write(to: model.description)
            return try model.readDescription()
        }
    }

    private static let matching = #"{"clusterPixels": 150, "epsilon": 0.03, "logWeight": 0.3}"#

    /// Models that laboratories have trained stay models.
    @Test func theFormatBeforeIsRead() throws {
        let sr = #"{"statisticsMatching": {"_0": \#(LymphocyteModelTests.matching)}}"#
        let model = try read(old(criterion: sr, fineWeight: 0, selfTraining: true))
        let fast = TrainingPreset.fast.lymphocytes(seed: 1)
        #expect(model.training == fast.training && model.members == 1 && model.threshold == 0.9)
        #expect(model.settings.slides.first?.regions == 247 && model.settings.sampling?.fineFraction == 0.5)
        #expect(
            model.settings.sampling?.studentNoise == .otherScanner && model.coarseClasses == ["0.0–0.5", "0.5–1.0"])
        let hr = try read(old(criterion: #"{"fineLabels": {}}"#, fineWeight: 1, selfTraining: false))
        #expect(hr.training.objective.name == "hr" && hr.training.objective.teaching.weight == 1)
        let both = #"{"fineAndCoarse": {"_0": \#(LymphocyteModelTests.matching)}}"#
        let fine = try read(old(criterion: both, fineWeight: 30, selfTraining: false))
        #expect(fine.training.objective.name == "hr+sr" && fine.training.student == nil)
    }

    @Test func impossibleAndForeignDescriptionsAreNamed() throws {
        let model = LymphocyteModelDescription(
            settings: LymphocyteModelSettings(), coarseClasses: ProbabilityClasses().names,
            priors: try .defaultCurve(label: "lymphocyte", classCount: 10),
            training: TrainingPreset.fast.lymphocytes(seed: 1).training, steps: 1)
        #expect(throws: Never.self) { try read(JSONEncoder().encode(model)) }
        let changes: [(what: String, change: (inout LymphocyteModelDescription) -> Void)] = [
            ("micronsPerPixel", { $0.settings.micronsPerPixel = 1e6 }),
            ("channels", { $0.architecture.inputChannels = 4 }),
            ("'landcover'", { $0.application = "landcover" }), ("newer", { $0.format = 99 }),
            ("format 2", { $0.format = 2 }), ("temperature", { $0.temperature = 0 }),
            ("coarseClasses", { $0.coarseClasses.removeLast() }),
        ]
        for (what, change) in changes {
            var changed = model
            change(&changed)
            let error = try #require(throws: MethodError.self) { try read(JSONEncoder().encode(changed)) }
            #expect(error.message.contains(what), "\(error.message)")
        }
    }
}
