public import Foundation
public import LabelSuperResolution

/// What a model folder tells of its training, finished or not: losses and pictures of every network.
public struct TrainingRecord: Sendable {
    /// The folders of the model's networks in the order of training; the model's own comes last.
    private let networks: [ModelFolder]

    /// The most networks that are looked for.
    private static let mostNetworks = 64
    /// Points of a curve, about: more than a screen shows.
    private static let points = 100

    public init(_ folder: ModelFolder) {
        let members = (1...TrainingRecord.mostNetworks).map { folder.member($0) }
            .prefix { FileManager.default.fileExists(atPath: $0.metrics.path) }
        networks = members + [folder]
    }

    /// Step and loss of each network so far; each point is the mean of a few steps, since single ones are noise.
    public var curves: [[[Double]]] {
        networks.compactMap { network in
            guard let text = try? String(contentsOf: network.metrics, encoding: .utf8) else { return nil }
            let rows = text.split(separator: "\n").dropFirst().compactMap { line -> (step: Double, loss: Double)? in
                let fields = line.split(separator: ",", omittingEmptySubsequences: false)
                guard fields.count > 3, let step = Double(fields[0]), let loss = Double(fields[3]), loss.isFinite
                else { return nil }
                return (step, loss)
            }
            let size = max(1, rows.count / TrainingRecord.points)
            return stride(from: 0, to: rows.count, by: size).map { start in
                let part = rows[start..<min(start + size, rows.count)]
                return [part.last?.step ?? 0, part.reduce(0) { $0 + $1.loss } / Double(part.count)]
            }
        }
    }

    /// The newest picture of the network that is, or was last, in work, and its step.
    public var newestPreview: (file: URL, step: Int)? {
        for network in networks.reversed() {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: network.previews.path)) ?? []
            guard let name = names.filter({ $0.hasPrefix("step-") && $0.hasSuffix(".png") }).max(),
                let step = Int(name.dropFirst(5).dropLast(4))
            else { continue }
            return (network.previews.appendingPathComponent(name), step)
        }
        return nil
    }
}
