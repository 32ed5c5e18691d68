internal import LabelSuperResolution
internal import Raster

/// Labels that colour alone gives (paper §3.2): the pixels with the least haematoxylin are no lymphocytes.
///
/// How many of a region's pixels that is surely true of depends on its coarse class: where two pixels in a hundred are
/// expected to be lymphocyte, all but the darkest few are none. So in a block of a known class everything is labelled but
/// the darkest κ · η, with κ well above 1; elsewhere a fixed share of the image is, as in the paper.
struct ColorLabels {
    /// The share of an image that is labelled where no block's class says more.
    let fraction: Double
    /// κ; 0 labels the fixed share everywhere, as the paper does.
    let darkestMultiple: Double

    /// Even of a block without lymphocytes this much is left to the coarse label.
    static let leastOpen = 0.05
    /// Standard deviation, in pixels, by which haematoxylin is smoothed before it is ranked.
    static let smoothing = 1.0

    /// 0 for background, −1 for pixels of which colour tells nothing.
    ///
    /// - Parameter expected: the expected share of lymphocyte pixels of each block; nil where it is unknown.
    func labels(of image: RGBImage, layout: BlockLayout, expected: Plane<Double?>) -> Plane<Int8> {
        let hematoxylin = ColorDeconvolution.hematoxylinEosin.hematoxylin(image).blurred(sigma: ColorLabels.smoothing)
        guard fraction > 0 else { return hematoxylin.map { _ in -1 } }
        let threshold = ColorLabels.quantile(hematoxylin.values, fraction)
        var labels = hematoxylin.map { $0 <= threshold ? Int8(0) : -1 }
        guard darkestMultiple > 0 else { return labels }
        let side = layout.blockSide
        for row in 0..<layout.blocksPerSide {
            for column in 0..<layout.blocksPerSide {
                guard let share = expected[column, row] else { continue }
                let open = max(ColorLabels.leastOpen, darkestMultiple * share)
                // Where nearly all may be lymphocyte, colour tells no more than elsewhere.
                let labelled = max(fraction, 1 - open)
                let (left, top) = (layout.margin + column * side, layout.margin + row * side)
                let block = hematoxylin.cropped(x: left, y: top, width: side, height: side)
                let limit = ColorLabels.quantile(block.values, labelled)
                for y in 0..<side {
                    for x in 0..<side { labels[left + x, top + y] = block[x, y] <= limit ? 0 : -1 }
                }
            }
        }
        return labels
    }

    /// A quantile to within 1/4096 of the range of the values: one pass instead of a sort.
    static func quantile(_ values: [Float], _ fraction: Double) -> Float {
        guard let least = values.min(), let most = values.max(), least < most else { return values.first ?? 0 }
        let bins = 4096
        let scale = Float(bins - 1) / (most - least)
        var histogram = [Int](repeating: 0, count: bins)
        for value in values { histogram[Int((value - least) * scale)] += 1 }
        var rest = Int(fraction * Double(values.count))
        for (bin, count) in histogram.enumerated() {
            rest -= count
            if rest <= 0 { return least + Float(bin + 1) / scale }
        }
        return most
    }
}
