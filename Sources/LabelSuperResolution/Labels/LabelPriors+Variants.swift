internal import Charts
public import Failures
public import Foundation
internal import Raster

extension LabelPriors {
    /// Priors from descriptions: "between a and b of the block bear the label" means any fraction in [a, b] alike, so
    /// η = (a + b)/2 and ρ = (b − a)/√12 (paper §3.1, where NLCD's class descriptions are such intervals).
    public static func fromIntervals(
        _ intervals: [ClosedRange<Double>], label: String
    ) throws(MethodError) -> LabelPriors {
        try binary(
            label: label, means: intervals.map { ($0.lowerBound + $0.upperBound) / 2 },
            deviations: intervals.map { ($0.upperBound - $0.lowerBound) / 12.0.squareRoot() }, origin: "intervals")
    }

    /// What the priors would be had η been misjudged by a factor; for binary labels. ρ goes along.
    public func scaled(by factor: Double) throws(MethodError) -> LabelPriors {
        try LabelPriors.binary(
            label: labels[labels.count - 1], background: labels[0],
            means: means.map { min(1, $0[$0.count - 1] * factor) },
            deviations: deviations.map { min(1, $0[$0.count - 1] * factor) }, origin: "\(origin), η × \(factor)")
    }

    /// What the priors would be had the share of one label been misjudged by a factor in every class; the others share what is left as
    /// before, and ρ stays.
    ///
    /// - Parameter label: one of ``labels``.
    public func scaled(_ label: String, by factor: Double) throws(MethodError) -> LabelPriors {
        guard let index = labels.firstIndex(of: label) else {
            throw MethodError(.priors, "the priors have no label '\(label)'")
        }
        let scaled = means.map { shares in
            let own = min(1, shares[index] * factor)
            let rest = 1 - shares[index]
            return shares.indices.map { i in
                if i == index { return own }
                return rest > 0 ? shares[i] * (1 - own) / rest : (1 - own) / Double(max(1, shares.count - 1))
            }
        }
        var made = try LabelPriors(
            labels: labels, means: scaled, deviations: deviations, origin: "\(origin), \(label) × \(factor)")
        made.classes = classes
        return made
    }

    /// What the priors would be had each class been given those of the class `steps` above; for binary labels. The ends
    /// are repeated.
    public func shifted(by steps: Int) throws(MethodError) -> LabelPriors {
        func source(_ index: Int) -> Int { max(0, min(classCount - 1, index + steps)) }
        return try LabelPriors(
            labels: labels, means: means.indices.map { means[source($0)] },
            deviations: means.indices.map { deviations[source($0)] }, origin: "\(origin), shifted by \(steps)")
    }

    /// Draws η ± ρ of the last label over the classes and writes it as PNG.
    public func writeChart(to url: URL) throws {
        let last = labels.count - 1
        func points(_ value: (Int) -> Double) -> [(x: Double, y: Double)] {
            means.indices.map { (Double($0), min(1, max(0, value($0)))) }
        }
        var chart = LineChart(
            title: "Expected share of \(labels[last]) pixels", subtitle: "from \(origin)", xLabel: "Coarse class",
            yLabel: "η ± ρ",
            series: [
                LineChart.Series("η", color: .accent, points: points { means[$0][last] }),
                LineChart.Series(
                    "η ± ρ", color: .second, points: points { means[$0][last] + deviations[$0][last] }, isDashed: true),
                LineChart.Series(
                    "", color: .second, points: points { means[$0][last] - deviations[$0][last] }, isDashed: true),
            ])
        let top = means.indices.map { means[$0][last] + deviations[$0][last] }.max() ?? 1
        chart.xRange = 0...Double(max(1, classCount - 1))
        chart.yRange = 0...min(1, max(0.05, (top * 20).rounded(.up) / 20))
        chart.legend = .topLeft
        chart.xSteps = max(1, classCount - 1)
        try PNG.write(try chart.rendered(), to: url)
    }
}
