internal import Foundation
internal import OneDNN

/// What follows a U-Net's last convolution: scores of the labels, enlarged where the network works on folded pixels, and the
/// fixed term, as ``LabelScores`` wants them.
struct UNetHead {
    private let shape: UNetArchitecture
    private let height: Int
    private let width: Int
    /// Weights of each score's plane, in units of the features.
    private let rows: [(weights: [Float], bias: Float)]

    /// - Parameter channelScales: what a feature's step is worth where features are bytes; nil for 1.
    init(_ network: FoldedUNet, height: Int, width: Int, channelScales: [Float]? = nil) {
        shape = network.architecture
        self.height = height
        self.width = width
        let channels = network.head.inputChannels
        let labels = (0..<shape.labels).map { label in
            (
                weights: (0..<channels).map { network.head.weights[label * channels + $0] * (channelScales?[$0] ?? 1) },
                bias: network.head.bias[label]
            )
        }
        // For two labels one plane does: their difference.
        rows =
            shape.labels == 2
            ? [(zip(labels[1].weights, labels[0].weights).map { $0 - $1 }, labels[1].bias - labels[0].bias)] : labels
    }

    private var coarsePixels: Int { (height / shape.stride) * (width / shape.stride) }

    /// Bytes of scratch memory that a run needs.
    var scratchBytes: Int {
        max(
            4 * coarsePixels,
            PixelLoops.discScratch(width: width, radius: shape.prior?.radius ?? 0))
    }

    /// Log-odds where there are two labels, log p of each label where there are more: as many planes as
    /// ``LabelScores/planes(labels:)``.
    ///
    /// - Parameters:
    ///   - planes: the image, `CHW`.
    ///   - project: writes the weighted sum of each pixel's features, plus a bias, into a plane.
    func run(
        _ planes: UnsafePointer<Float>, scratch: PixelBuffer, into result: UnsafeMutablePointer<Float>,
        project: (_ weights: [Float], _ bias: Float, _ plane: UnsafeMutablePointer<Float>) -> Void
    ) {
        let pixels = height * width
        func score(_ row: (weights: [Float], bias: Float), into plane: UnsafeMutablePointer<Float>) {
            project(row.weights, row.bias, shape.stride == 1 ? plane : scratch.floats)
            if shape.stride == 2 {
                PixelLoops.enlarge(scratch.floats, height: height / 2, width: width / 2, into: plane)
            }
        }
        func addPrior(to plane: UnsafeMutablePointer<Float>) {
            guard let prior = shape.prior else { return }
            PixelLoops.addDiscMean(
                of: planes + prior.channel * pixels, height: height, width: width, radius: prior.radius,
                weight: Float(prior.weight), scratch: scratch, to: plane)
        }
        if rows.count == 1 {
            score(rows[0], into: result)
            return addPrior(to: result)
        }
        for (label, row) in rows.enumerated() { score(row, into: result + label * pixels) }
        addPrior(to: result + (rows.count - 1) * pixels)
        LabelScores.normalize(result, labels: rows.count, pixels: pixels)
    }
}
