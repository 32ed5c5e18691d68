internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster

/// Ways to use a finished network that `segment` does not offer, each to be measured beside it.
enum InferenceVariant: String, Sendable {
    /// The mean probability over the eight turns and flips of each image.
    case turns
    /// Each pixel's probability is the mean over a disc inside a nucleus.
    case disc
    /// The slide's haematoxylin and eosin are scaled so that their 99th percentiles over tissue are the training slides'
    /// (Macenko et al. 2009, with fixed stain vectors).
    case stains
}

/// Averages the probabilities that a network gives the eight orientations of an image.
struct TurnedNetwork: SegmentationNetwork {
    let network: any SegmentationNetwork

    var labels: Int { network.labels }
    var engineName: String { network.engineName }
    var gridMultiple: Int { network.gridMultiple }
    var halo: Int { network.halo }

    func scores(_ batch: ImageBatch) throws -> LabelScores {
        let pixels = batch.height * batch.width
        var (present, absent) = (
            [Float](repeating: 0, count: batch.count * pixels), [Float](repeating: 0, count: batch.count * pixels)
        )
        for orientation in Orientation.all {
            let swaps = orientation.quarterTurns % 2 == 1
            let (height, width) = swaps ? (batch.width, batch.height) : (batch.height, batch.width)
            let planes = (0..<batch.count * batch.channels).map { index in
                Plane(
                    width: batch.width, height: batch.height,
                    values: Array(batch.values[index * pixels..<(index + 1) * pixels])
                ).turned(orientation)
            }
            let found = try network.logOdds(
                ImageBatch(
                    count: batch.count, channels: batch.channels, height: height, width: width,
                    values: planes.flatMap(\.values)))
            for image in 0..<batch.count {
                for y in 0..<batch.height {
                    for x in 0..<batch.width {
                        let moved = orientation.moved(x: x, y: y, width: batch.width, height: batch.height)
                        let value = max(-80, min(80, found[image * pixels + moved.y * width + moved.x]))
                        let index = image * pixels + y * batch.width + x
                        present[index] += 1 / (1 + exp(-value))
                        absent[index] += 1 / (1 + exp(value))
                    }
                }
            }
        }
        return LabelScores(of: batch, logOdds: zip(present, absent).map { log($0) - log($1) })
    }
}

/// Averages a network's probabilities over a disc around each pixel, as far as it lies inside the image.
struct DiscMeanNetwork: SegmentationNetwork {
    let network: any SegmentationNetwork
    /// Pixels.
    let radius: Int

    var labels: Int { network.labels }
    var engineName: String { network.engineName }
    var gridMultiple: Int { network.gridMultiple }
    var halo: Int { (network.halo + radius + gridMultiple - 1) / gridMultiple * gridMultiple }

    func scores(_ batch: ImageBatch) throws -> LabelScores {
        let found = try network.logOdds(batch)
        let (width, height) = (batch.width, batch.height)
        let reaches = (-radius...radius).map { Int(Double(radius * radius - $0 * $0).squareRoot()) }
        var result = found
        for image in 0..<batch.count {
            let start = image * width * height
            // Sums of p and of 1 − p from the row's left end, so that each row of the disc is a difference.
            let stride = width + 1
            var sums = [SIMD2<Double>](repeating: .zero, count: stride * height)
            for y in 0..<height {
                for x in 0..<width {
                    let value = Double(max(-80, min(80, found[start + y * width + x])))
                    let (present, absent) = (1 / (1 + exp(-value)), 1 / (1 + exp(value)))
                    sums[y * stride + x + 1] = sums[y * stride + x] + SIMD2(present, absent)
                }
            }
            for y in 0..<height {
                for x in 0..<width {
                    var sum = SIMD2<Double>.zero
                    for row in max(0, y - radius)...min(height - 1, y + radius) {
                        let reach = reaches[row - y + radius]
                        let (left, right) = (max(0, x - reach), min(width, x + reach + 1))
                        sum += sums[row * stride + right] - sums[row * stride + left]
                    }
                    // Differences of sums may lose what is smaller than their last digit.
                    result[start + y * width + x] = Float(log(max(sum.x, 1e-12)) - log(max(sum.y, 1e-12)))
                }
            }
        }
        return LabelScores(of: batch, logOdds: result)
    }
}

/// Shows a network images with other stain concentrations than they have.
struct RestainedNetwork: SegmentationNetwork {
    let network: any SegmentationNetwork
    let encoding: InputEncoding
    let factors: (hematoxylin: Float, eosin: Float)

    var labels: Int { network.labels }
    var engineName: String { network.engineName }
    var gridMultiple: Int { network.gridMultiple }
    var halo: Int { network.halo }

    func scores(_ batch: ImageBatch) throws -> LabelScores {
        let pixels = batch.height * batch.width
        var values: [Float] = []
        values.reserveCapacity(batch.values.count)
        for image in 0..<batch.count {
            var picture = RGBImage(width: batch.width, height: batch.height)
            for channel in 0..<3 {
                let start = (image * batch.channels + channel) * pixels
                for i in 0..<pixels {
                    picture.pixels[3 * i + channel] = UInt8(
                        max(0, min(255, ((batch.values[start + i] + 1) * 127.5).rounded())))
                }
            }
            encoding.append(
                ColorDeconvolution.hematoxylinEosin.restained(picture, factors: factors, offsets: (0, 0)), to: &values)
        }
        return try network.scores(
            ImageBatch(
                count: batch.count, channels: batch.channels, height: batch.height, width: batch.width, values: values))
    }
}
