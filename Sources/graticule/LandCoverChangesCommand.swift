import ArgumentParser
import BatchWork
import Failures
import Foundation
import GeoRaster
import LandCover
import Raster
import Terminal

struct LandCoverChangesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "changes", abstract: "Windows of the ground that changed between two images or maps.",
        discussion: """
            Images are compared by grey levels, once the later one's are calibrated to the earlier one's by a least-squares line \
            for each band; maps by labels, or by probabilities of 'map --probabilities'. The output has a pixel for each window: \
            the mean absolute difference.
            """)

    @Option(help: "The earlier image or map.") var before: String
    @Option(help: "The later one; another grid or projection is taken onto the earlier one's pixels.") var after: String
    @Option(help: "image or map.") var signal = "image"
    @Option(help: "Side of a window, in units of the CRS.") var window = ChangeDetection.defaultSide
    @Option(help: "Signal from which a window has changed; found from the windows if not given.") var threshold: Double?
    @Option(help: "Raster that is not 0 where something changed, to score by.") var truth: String?
    @Option(help: "Share of a window's pixels that must have changed in the truth.") var truthShare = 0.15
    @Option(help: "GeoTIFF to write.") var output: String
    @Flag(help: "Print JSON, with every window.") var json = false

    func validate() throws {
        guard ChangeDetection.Signal(rawValue: signal) != nil else {
            throw ValidationError("--signal must be image or map.")
        }
        guard window > 0, window.isFinite else { throw ValidationError("--window must be above 0.") }
        guard threshold.map({ $0.isFinite && $0 >= 0 }) ?? true else {
            throw ValidationError("--threshold must be 0 or more.")
        }
        guard (0...1).contains(truthShare) else { throw ValidationError("--truth-share must be between 0 and 1.") }
    }

    private struct Report: Encodable {
        let windows: [ChangeDetection.Window]
        let changed: Int
        let threshold: Double
        let calibration: [ChangeDetection.Calibration]
        let auc: Double?
        let false_windows: Int?
        let missed_windows: Int?
    }

    func run() throws {
        let target = URL(fileURLWithPath: output)
        try OutputGuard.check(
            target, inputs: [before, after, truth].compactMap { $0 }.map { URL(fileURLWithPath: $0) })
        let found = try ChangeDetection(
            before: GeoRaster(URL(fileURLWithPath: before)), after: GeoRaster(URL(fileURLWithPath: after)),
            signal: ChangeDetection.Signal(rawValue: signal) ?? .image, side: window, threshold: threshold)
        let truth = try truth.map { try found.truth(GeoRaster(URL(fileURLWithPath: $0)), share: truthShare) }
        if let truth, truth.allSatisfy({ $0 == nil }) {
            throw InputError(.unusable, "\(self.truth ?? "") does not reach any window: it lies elsewhere")
        }
        for (band, line) in found.calibration.enumerated() where line.gain <= 0 {
            Console.note(
                "band \(band + 1) of the two images does not go together (gain \(line.gain)): are both images?")
        }
        try found.write(to: target)
        let changed = found.windows.count(where: \.isChanged)
        func count(found wanted: Bool, true truly: Bool) -> Int? {
            truth.map { zip(found.windows, $0).count { $0.isChanged == wanted && $1 == truly } }
        }
        let report = Report(
            windows: found.windows, changed: changed, threshold: found.threshold, calibration: found.calibration,
            auc: truth.flatMap(found.areaUnderCurve), false_windows: count(found: true, true: false),
            missed_windows: count(found: false, true: true))
        guard !json else { return try Console.json(report) }
        print(
            String(
                format: "%d of %d windows changed (signal > %.3g): %@", changed, found.windows.count, found.threshold,
                output))
        for (band, line) in found.calibration.enumerated() {
            print(String(format: "  band %d: later × %.3f %+.1f", band + 1, line.gain, line.offset))
        }
        if let auc = report.auc { print(String(format: "  AUC %.3f", auc)) }
        if let wrong = report.false_windows, let missed = report.missed_windows {
            print("  \(wrong) windows falsely found, \(missed) missed")
        }
    }
}
