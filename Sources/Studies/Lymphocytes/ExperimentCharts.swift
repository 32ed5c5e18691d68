internal import Charts
internal import CoarseTraining
internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster
internal import WholeSlide

/// The pictures of the comparison: ROC curves, learning curves, and the same regions as each method sees them.
struct ExperimentCharts {
    let experiment: LymphocyteExperiment

    /// The methods that are drawn, so that lines can be told apart.
    private static let drawn: [(name: String, color: Int)] = [
        ("sr-self", 0x5b2a86), ("sr", 0xb08cd0), ("hr", 0x1b7f5c), ("soft", 0xd9822b), ("l2", 0x2f6fb3),
        ("hr-cnn", 0x9a9fa8),
    ]
    /// Methods of the preview, from left to right.
    private static let previewed = [
        "sr-self", "sr", "hr", "hr+sr", "soft", "l2", "l1", "interval", "kl", "em", "qr", "rq",
    ]

    func write(to folder: URL) throws -> [(name: String, caption: String)] {
        var files: [(name: String, caption: String)] = []
        for fold in experiment.folds {
            for set in ["natural", "hard"] {
                let name = "roc-\(fold.name)-\(set).png"
                if try writeROC(fold, set: set, to: folder.appendingPathComponent(name)) {
                    files.append((name, "ROC on the \(set) patches of \(fold.test)"))
                }
            }
            let curves = "learning-\(fold.name).png"
            if try writeLearning(fold, to: folder.appendingPathComponent(curves)) {
                files.append((curves, "Learning curves, trained for test slide \(fold.test)"))
            }
            let preview = "previews-\(fold.name).png"
            if try writePreviews(fold, to: folder.appendingPathComponent(preview)) {
                files.append((preview, "The same regions of \(fold.test) as each method sees them"))
            }
        }
        return files
    }

    private func first(_ name: String, _ fold: ExperimentFold) -> LymphocyteExperiment.Job? {
        experiment.jobs.first { $0.method.name == name && $0.fold == fold && experiment.result($0) != nil }
    }

    private func writeROC(_ fold: ExperimentFold, set: String, to url: URL) throws -> Bool {
        var series = [LineChart.Series("", color: .muted, points: [(0, 0), (1, 1)], isDashed: true)]
        for (name, color) in ExperimentCharts.drawn {
            guard let job = first(name, fold), let curve = experiment.curve(job, set: set),
                let auc = experiment.result(job)?.patches[set]?["disc"]
            else { continue }
            series.append(
                LineChart.Series(
                    String(format: "%@  %.3f", name, auc.value), color: Canvas.Color(color),
                    points: curve.points.map { ($0.falsePositiveRate, $0.truePositiveRate) }))
            if name == "sr-self", let dark = experiment.curve(job, set: "\(set)-darkness"),
                let darkness = experiment.result(job)?.darkness[set]
            {
                series.append(
                    LineChart.Series(
                        String(format: "darkness  %.3f", darkness.value), color: .ink,
                        points: dark.points.map { ($0.falsePositiveRate, $0.truePositiveRate) }, isDashed: true))
            }
        }
        guard series.count > 1 else { return false }
        let chart = LineChart(
            title: "ROC on \(fold.test), \(set) patches", subtitle: "first seed; AUC over the disc",
            xLabel: "False positive rate", yLabel: "True positive rate", series: series)
        try PNG.write(try chart.rendered(), to: url)
        return true
    }

    private func writeLearning(_ fold: ExperimentFold, to url: URL) throws -> Bool {
        var series: [LineChart.Series] = []
        var last = 0.0
        for (name, color) in ExperimentCharts.drawn {
            guard let job = first(name, fold) else { continue }
            let file = ModelFolder(experiment.folder(job).appendingPathComponent("model")).metrics
            guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
            let lines = text.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
            guard let column = lines.first?.firstIndex(of: "val_correlation") else { continue }
            let points = lines.dropFirst().compactMap { row -> (x: Double, y: Double)? in
                guard row.count > column, let step = Double(row[0]), let value = Double(row[column]) else { return nil }
                return (step, max(0, value))
            }
            last = max(last, points.last?.x ?? 0)
            if !points.isEmpty { series.append(LineChart.Series(name, color: Canvas.Color(color), points: points)) }
        }
        guard !series.isEmpty, last > 0 else { return false }
        var chart = LineChart(
            title: "Learning curves, test slide \(fold.test)",
            subtitle: "correlation of predicted and expected shares on held-out training regions", xLabel: "Step",
            yLabel: "Correlation", series: series)
        chart.xRange = 0...last
        try PNG.write(try chart.rendered(), to: url)
        return true
    }

    /// Regions of the test slide with most, some and no lymphocytes, with the outlines of every method.
    private func writePreviews(_ fold: ExperimentFold, to url: URL) throws -> Bool {
        let jobs = ExperimentCharts.previewed.compactMap { first($0, fold) }
        let models = jobs.compactMap { job -> (String, SegmentationModel)? in
            let folder = experiment.folder(job).appendingPathComponent("model")
            // The self-similarity posterior is no network, and is left out where it left no weights.
            return (try? SegmentationModel(folder)).map { (job.method.name, $0) }
        }
        guard let mpp = models.first?.1.micronsPerPixel else { return false }
        let slide = try LabelledSlide(
            SlideFile(experiment.data.slide(fold.test)), heatmaps: experiment.data.heatmaps, micronsPerPixel: mpp,
            givenScale: nil, coarseClasses: ProbabilityClasses())
        let mask = try FineMask(for: SlideFile(experiment.data.slide(fold.test)), in: experiment.data.masks)
        // The first region of four classes, from many lymphocytes to none.
        let regions = [6, 4, 2, 0].compactMap { wanted in slide.regions.known.first { $0.coarseClass == wanted } }
        let (side, zoom, gap, top, left) = (100, 2, 10, 58, 92)
        let cell = side * zoom
        let canvas = try Canvas(
            width: left + (models.count + 2) * (cell + gap) + gap, height: top + regions.count * (cell + gap) + gap)
        canvas.text("Regions of \(fold.test)", x: 12, y: 26, size: 16, isBold: true)
        for (column, title) in (["tissue", "truth"] + models.map(\.0)).enumerated() {
            canvas.text(title, x: Double(left + column * (cell + gap)), y: 50, size: 13)
        }
        for (row, region) in regions.enumerated() {
            let y = top + row * (cell + gap)
            canvas.text("class \(region.coarseClass)", x: 12, y: Double(y + cell / 2), size: 13, color: .muted)
            let corner = slide.regions.corner(region.position)
            let margin = 64
            let image = try slide.reader.read(
                x: corner.x - margin, y: corner.y - margin, width: side + 2 * margin, height: side + 2 * margin)
            let own = image.cropped(x: margin, y: margin, width: side, height: side)
            canvas.image(own.enlarged(zoom), x: left, y: y)
            var truth = Plane<Float>(width: side, height: side, repeating: -1)
            for ty in 0..<side {
                for tx in 0..<side {
                    let frame = slide.reader.frame
                    let isLymphocyte = mask.isLymphocyte(
                        level0X: frame.level0(Double(corner.x + tx) + 0.5),
                        level0Y: frame.level0(Double(corner.y + ty) + 0.5))
                    if isLymphocyte == true { truth[tx, ty] = 1 }
                }
            }
            canvas.image(TrainingPreview.outlined(own, logOdds: truth).enlarged(zoom), x: left + cell + gap, y: y)
            for (column, (_, model)) in models.enumerated() {
                var values: [Float] = []
                model.encoding.append(image, to: &values)
                let logOdds = try model.network.logOdds(
                    ImageBatch(
                        count: 1, channels: model.encoding.channels, height: image.height, width: image.width,
                        values: values))
                let limit = Float(log(model.threshold / (1 - model.threshold)))
                let map = Plane(width: image.width, height: image.height, values: logOdds.map { $0 - limit })
                    .cropped(x: margin, y: margin, width: side, height: side)
                canvas.image(
                    TrainingPreview.outlined(own, logOdds: map).enlarged(zoom), x: left + (column + 2) * (cell + gap),
                    y: y)
            }
        }
        try PNG.write(canvas.rendered(), to: url)
        return true
    }
}
