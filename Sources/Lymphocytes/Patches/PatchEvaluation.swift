internal import BatchWork
public import Failures
internal import Foundation
public import LabelSuperResolution
package import Raster
public import ResultStore

/// How a patch becomes one number.
public enum PatchScore: String, CaseIterable, Sendable {
    /// Log-odds at the centre pixel.
    case centre
    /// Mean log-odds over a disc around the centre that lies well inside a nucleus.
    case disc
}

/// Scores a patch set with a model, beside the score of darkness alone.
public struct PatchEvaluation: Sendable {
    public let scores: [PatchScoreRecord]
    public let auc: AreaUnderCurve
    public let darkness: AreaUnderCurve
    public let roc: ROCCurve
    public let darknessROC: ROCCurve
    /// Whether σ(score) is the share of patches that are lymphocytes. A set's own share enters: it is not that of tissue.
    public let reliability: Reliability
    public let failures: [FailedInput]

    /// Radius of the disc, µm: inside even a small lymphocyte nucleus (7 µm across), and where darkness alone, which
    /// takes the same disc, does best.
    public static let discRadius = 2.5

    private static let batch = 32

    /// - Parameter progress: called with patches done and their number.
    /// - Throws: ``InputError`` where too few patches can be read to tell anything.
    public init(
        _ set: PatchSet, model: SegmentationModel, score: PatchScore, progress: (Int, Int) -> Void
    ) throws {
        let mpp = model.micronsPerPixel
        let (halo, multiple) = (model.network.halo, model.network.gridMultiple)
        let radius = PatchEvaluation.discRadius / mpp
        // What the disc's pixels can see, made up to the pooling grid.
        let half = Int(radius.rounded(.up)) + halo
        let side = (2 * half + multiple - 1) / multiple * multiple
        let centre = Double(side) / 2
        let disc = PatchEvaluation.pixels(inside: score == .disc ? radius : 0, of: centre, side: side)
        let darkDisc = PatchEvaluation.pixels(inside: radius, of: centre, side: side)
        var scores: [PatchScoreRecord] = []
        var failures: [FailedInput] = []
        for start in stride(from: 0, to: set.patches.count, by: PatchEvaluation.batch) {
            var windows: [(PatchSet.Patch, RGBImage)] = []
            for patch in set.patches[start..<min(start + PatchEvaluation.batch, set.patches.count)] {
                do {
                    let image = try set.image(of: patch, workingMicronsPerPixel: mpp)
                    windows.append((patch, image.centred(side: side)))
                } catch {
                    failures.append(FailedInput(name: patch.file, error: error))
                }
            }
            guard !windows.isEmpty else { continue }
            let maps = try PatchEvaluation.logOdds(windows.map(\.1), side: side, model: model)
            for ((patch, window), map) in zip(windows, maps) {
                let hematoxylin = ColorDeconvolution.hematoxylinEosin.hematoxylin(window).values
                scores.append(
                    PatchScoreRecord(
                        file: patch.file, label: patch.label, isLymphocyte: patch.isLymphocyte,
                        logOdds: disc.reduce(0) { $0 + Double(map[$1]) } / Double(disc.count),
                        darkness: darkDisc.reduce(0) { $0 + Double(hematoxylin[$1]) } / Double(darkDisc.count)))
            }
            progress(min(start + PatchEvaluation.batch, set.patches.count), set.patches.count)
        }
        let truth = scores.map(\.isLymphocyte)
        guard truth.contains(true), truth.contains(false) else {
            throw InputError(
                .unusable, "patch set \(set.folder.path): \(failures.first?.message ?? "no patch can be read")")
        }
        auc = try AreaUnderCurve(scores: scores.map(\.logOdds), isPositive: truth)
        darkness = try AreaUnderCurve(scores: scores.map(\.darkness), isPositive: truth)
        roc = ROCCurve(scores: scores.map(\.logOdds), isPositive: truth)
        darknessROC = ROCCurve(scores: scores.map(\.darkness), isPositive: truth)
        reliability = Reliability(
            probabilities: scores.map { 1 / (1 + exp(-$0.logOdds)) }, isPositive: truth)
        self.scores = scores
        self.failures = failures
    }

    private static func logOdds(_ images: [RGBImage], side: Int, model: SegmentationModel) throws -> [[Float]] {
        var values: [Float] = []
        for image in images { model.encoding.append(image, to: &values) }
        let all = try model.network.logOdds(
            ImageBatch(
                count: images.count, channels: model.encoding.channels, height: side, width: side, values: values))
        return images.indices.map { Array(all[($0 * side * side)..<(($0 + 1) * side * side)]) }
    }

    /// Indices of the pixels whose centre is within `radius` of the middle; the one pixel there where radius is 0.
    package static func pixels(inside radius: Double, of centre: Double, side: Int) -> [Int] {
        guard radius > 0 else { return [Int(centre) * side + Int(centre)] }
        return (0..<(side * side)).filter { index in
            let (x, y) = (Double(index % side) - centre, Double(index / side) - centre)
            return x * x + y * y <= radius * radius
        }
    }
}

extension RGBImage {
    /// The square of `side` pixels around the middle; beyond the image its mirror image, so that no false edge appears.
    package func centred(side: Int) -> RGBImage {
        func mirrored(_ i: Int, _ n: Int) -> Int {
            var i = i
            while i < 0 || i >= n { i = i < 0 ? -i - 1 : 2 * n - 1 - i }
            return i
        }
        let columns = (0..<side).map { mirrored($0 + width / 2 - side / 2, width) }
        let rows = (0..<side).map { mirrored($0 + height / 2 - side / 2, height) }
        var result = RGBImage(width: side, height: side)
        for y in 0..<side { for x in 0..<side { result[x, y] = self[columns[x], rows[y]] } }
        return result
    }
}
