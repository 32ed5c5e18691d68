public import Torch

/// Cross-entropy on the pixels whose fine label is known, from hints or from masks.
public enum PixelCrossEntropy {
    /// The mean of −log p(label) over labelled pixels; 0 where there is none.
    ///
    /// - Parameters:
    ///   - logProbabilities: log-softmax of the network, `NLHW`.
    ///   - labels: one a pixel, image by image; −1 where unknown.
    public static func loss(_ logProbabilities: Tensor, labels: [Int8], device: Device) throws -> Tensor {
        let shape = logProbabilities.shape
        let (labelCount, pixels) = (shape[1], shape[2] * shape[3])
        var weights = [Float](repeating: 0, count: shape.reduce(1, *))
        var known = 0
        for (index, label) in labels.enumerated() where label >= 0 && Int(label) < labelCount {
            let (image, pixel) = (index / pixels, index % pixels)
            weights[(image * labelCount + Int(label)) * pixels + pixel] = 1
            known += 1
        }
        let mask = try Tensor.from(weights, shape: shape, device: device)
        return try (logProbabilities * mask).sum() * (-1 / Double(max(1, known)))
    }
}
