internal import Raster

/// What the shape of a nucleus tells without any label: lymphocytes' are round.
enum NucleusShape {
    /// Standard deviation in working pixels by which haematoxylin is smoothed: 2 µm, so that a nucleus of 7 µm is one summit.
    static let smoothing = 4.0
    /// Log-odds of lymphocyte per OD of ``roundness(of:)``; see docs/decisions.md.
    static let evidenceWeight = 20.0

    /// The curvature of smoothed haematoxylin in the direction in which it falls off least, OD: high in the middle of round dark
    /// nuclei, about 0 along spindles, which coarse labels cannot tell from lymphocytes where both lie in one region.
    static func roundness(of image: RGBImage) -> Plane<Float> {
        ColorDeconvolution.hematoxylinEosin.hematoxylin(image).roundness(sigma: smoothing)
    }
}
