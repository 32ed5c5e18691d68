internal import Foundation
internal import LabelSuperResolution
public import ResultStore

extension PatchEvaluation {
    /// Stores every score and the AUC, in place of an earlier evaluation by the same model and method.
    public func save(in store: ResultStore, set: PatchSet, model: SegmentationModel, score: PatchScore) throws {
        let modelID = try SlideSegmenter(model: model, store: store, settings: SegmentationSettings()).registerModel()
        func record(_ auc: AreaUnderCurve) -> AUCRecord {
            AUCRecord(value: auc.value, lower: auc.lower, upper: auc.upper)
        }
        try store.storeEvaluation(
            patchSet: set.name, path: set.folder.path, model: modelID, method: score.rawValue, auc: record(auc),
            darkness: record(darkness), calibrationError: reliability.expectedCalibrationError, scores: scores)
    }
}
