internal import Charts
public import Foundation
internal import LabelSuperResolution
internal import Raster

extension PatchEvaluation {
    /// Writes the ROC curve, beside that of darkness alone, as PNG.
    public func writeChart(to url: URL, set: String, model: String, score: PatchScore) throws {
        func named(_ name: String, _ auc: AreaUnderCurve) -> String {
            String(format: "%@  AUC %.3f (%.3f–%.3f)", name, auc.value, auc.lower, auc.upper)
        }
        func points(_ curve: ROCCurve) -> [(x: Double, y: Double)] {
            curve.points.map { ($0.falsePositiveRate, $0.truePositiveRate) }
        }
        let chart = LineChart(
            title: "ROC on \(set)",
            subtitle: "\(auc.positives) lymphocytes, \(auc.negatives) others; \(model), \(score.rawValue)",
            xLabel: "False positive rate", yLabel: "True positive rate",
            series: [
                LineChart.Series("", color: .muted, points: [(0, 0), (1, 1)], isDashed: true),
                LineChart.Series(named("Model", auc), color: .accent, points: points(roc)),
                LineChart.Series(named("Darkness", darkness), color: .second, points: points(darknessROC)),
            ])
        try PNG.write(try chart.rendered(), to: url)
    }

    /// Writes the reliability curve as PNG: how many patches of each probability are lymphocytes.
    public func writeReliabilityChart(to url: URL, set: String, model: String, score: PatchScore) throws {
        let points = reliability.bins.map { (x: $0.meanProbability, y: $0.frequency) }
        let chart = LineChart(
            title: "Reliability on \(set)",
            subtitle: String(
                format: "expected calibration error %.3f; %@, %@", reliability.expectedCalibrationError, model,
                score.rawValue),
            xLabel: "Mean probability", yLabel: "Share of lymphocytes",
            series: [
                LineChart.Series("Perfect", color: .muted, points: [(0, 0), (1, 1)], isDashed: true),
                LineChart.Series("Model", color: .accent, points: points),
            ])
        try PNG.write(try chart.rendered(), to: url)
    }
}
