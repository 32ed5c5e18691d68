public import Raster

/// Labels that colour alone gives (paper §3.2): the pixels with the least haematoxylin are no lymphocytes.
public enum ColorLabels {
    /// Marks the `fraction` of an image's pixels that have the least haematoxylin, smoothed by one pixel.
    public static func background(_ image: RGBImage, fraction: Double) -> Plane<Bool> {
        let hematoxylin = ColorDeconvolution.hematoxylinEosin.hematoxylin(image).blurred(sigma: 1)
        guard fraction > 0 else { return hematoxylin.map { _ in false } }
        let threshold = quantile(hematoxylin.values, fraction)
        return hematoxylin.map { $0 <= threshold }
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
