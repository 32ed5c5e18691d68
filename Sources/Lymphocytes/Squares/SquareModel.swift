public import Foundation
internal import LabelSuperResolution
internal import Raster
internal import WholeSlide

/// What a model finds in a square.
public struct SquareFinding: Codable, Equatable, Sendable {
    /// The expected number of lymphocytes: Σ p / A.
    public let lymphocytes: Double
    /// How far the model's networks are apart: the standard deviation of √(lymphocytes) over them. The root, because a count's own
    /// spread grows with it.
    public let disagreement: Double
}

/// The networks of a model and those that it was made of, which may disagree.
public struct SquareModel: Sendable {
    private let networks: [any SegmentationNetwork]
    private let encoding: InputEncoding
    private let counting: CellCounting

    /// Context around a square that a network sees, working pixels.
    private static let margin = 32
    /// Squares that a network sees at once.
    private static let batch = 16

    /// Loads a model folder. The networks that taught the model are used where they are still in it.
    public init(_ folder: URL, counting: CellCounting = CellCounting()) throws {
        let model = try SegmentationModel(folder, engine: .oneDNN(.float32))
        encoding = model.encoding
        self.counting = counting
        let description = model.description
        let files = ModelFolder(folder)
        let members = (1...max(1, description.training.members)).compactMap { number in
            try? files.member(number).networks(members: 1, architecture: description.architecture)
        }.flatMap { $0 }
        networks = [model.network] + (try members.map { try OneDNNSegmentationNetwork([$0]) })
    }

    /// Whether there are networks that may differ.
    public var canDisagree: Bool { networks.count > 1 }

    /// What is found in squares with these corners, working pixels; nil where it cannot be read.
    func findings(at corners: [(Int, Int)], side: Int, reader: WorkingReader) throws -> [SquareFinding?] {
        var findings: [SquareFinding?] = []
        let multiple = networks.map(\.gridMultiple).max() ?? 16
        var margin = SquareModel.margin
        while (side + 2 * margin) % multiple != 0 { margin += 1 }
        let imageSide = side + 2 * margin
        let area = LymphocyteTraining.micronsPerPixel * LymphocyteTraining.micronsPerPixel / counting.cellArea
        for start in stride(from: 0, to: corners.count, by: SquareModel.batch) {
            let part = corners[start..<min(start + SquareModel.batch, corners.count)]
            let images = part.map {
                try? reader.read(x: $0.0 - margin, y: $0.1 - margin, width: imageSide, height: imageSide)
            }
            var input: [Float] = []
            for image in images {
                encoding.append(image ?? RGBImage(width: imageSide, height: imageSide), to: &input)
            }
            let batch = ImageBatch(
                count: images.count, channels: encoding.channels, height: imageSide, width: imageSide, values: input)
            let counts = try networks.map { network in
                let probabilities = try network.scores(batch).probabilities(of: 1)
                return (0..<images.count).map { image in
                    var sum = 0.0
                    for y in margin..<(margin + side) {
                        let row = (image * imageSide + y) * imageSide
                        for x in margin..<(margin + side) { sum += Double(probabilities[row + x]) }
                    }
                    return sum * area
                }
            }
            for index in images.indices {
                guard images[index] != nil else {
                    findings.append(nil)
                    continue
                }
                let roots = counts.map { $0[index].squareRoot() }
                let mean = roots.reduce(0, +) / Double(roots.count)
                let variance = roots.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, roots.count - 1))
                findings.append(
                    SquareFinding(lymphocytes: counts[0][index], disagreement: variance.squareRoot()))
            }
        }
        return findings
    }
}
