internal import Foundation
internal import Lymphocytes
internal import Raster

/// Hand-crafted features of the nucleus in the middle of a patch, outlined by a level set (paper §3.2, "HR SVM").
enum NucleusFeatures {
    /// Half the side of the window that is looked at, µm: a large nucleus with its surroundings.
    private static let reach = 10.0
    /// The ring around the nucleus whose colour it is compared with, µm.
    private static let ring = 2.0

    static let names = [
        "area", "perimeter", "circularity", "eccentricity", "solidity", "mean red", "mean green", "mean blue",
        "SD red", "SD green", "SD blue", "mean haematoxylin", "SD haematoxylin", "mean eosin", "SD eosin",
        "ring contrast haematoxylin", "ring contrast eosin",
    ]

    /// The features in the order of ``names``; all zero shapes where the level set vanished.
    static func features(of patch: RGBImage, micronsPerPixel mpp: Double) -> [Double] {
        let side = Int((2 * reach / mpp).rounded())
        let window = patch.centred(side: side)
        let stains = ColorDeconvolution.hematoxylinEosin.separated(window)
        let object = LevelSet.object(
            in: stains.hematoxylin.blurred(sigma: 1), radius: PatchEvaluation.discRadius / mpp, reach: 7 / mpp
        ).withoutHoles()
        let inside = object.values.indices.filter { object.values[$0] }
        guard inside.count > 4, let outline = object.outline() else {
            return [Double](repeating: 0, count: names.count)
        }
        let ringPixels = ring / mpp
        let distance = object.map { !$0 }.distanceToBackground()
        let around = object.values.indices.filter {
            !object.values[$0] && Double(distance.values[$0]) <= ringPixels
        }
        func statistics(_ indices: [Int], _ value: (Int) -> Double) -> (mean: Double, deviation: Double) {
            let n = Double(max(1, indices.count))
            let mean = indices.reduce(0) { $0 + value($1) } / n
            let square = indices.reduce(0) { $0 + (value($1) - mean) * (value($1) - mean) } / n
            return (mean, square.squareRoot())
        }
        let x = statistics(inside) { Double($0 % side) }
        let y = statistics(inside) { Double($0 / side) }
        let xy =
            inside.reduce(0.0) { $0 + (Double($1 % side) - x.mean) * (Double($1 / side) - y.mean) }
            / Double(inside.count)
        // Eigenvalues of the covariance are the squared half-axes of the ellipse of like moments.
        let (a, b) = (x.deviation * x.deviation, y.deviation * y.deviation)
        let root = ((a - b) * (a - b) / 4 + xy * xy).squareRoot()
        let (large, small) = ((a + b) / 2 + root, max(0, (a + b) / 2 - root))
        let area = Double(inside.count) * mpp * mpp
        let perimeter = outline.perimeter * mpp
        let colors = (0..<3).map { channel in statistics(inside) { Double(window.pixels[3 * $0 + channel]) } }
        let hematoxylin = statistics(inside) { Double(stains.hematoxylin.values[$0]) }
        let eosin = statistics(inside) { Double(stains.eosin.values[$0]) }
        return [
            area, perimeter, min(1, 4 * .pi * area / max(1e-9, perimeter * perimeter)),
            large > 0 ? (1 - small / large).squareRoot() : 0, solidity(inside, side: side),
        ] + colors.map(\.mean) + colors.map(\.deviation) + [
            hematoxylin.mean, hematoxylin.deviation, eosin.mean, eosin.deviation,
            hematoxylin.mean - statistics(around) { Double(stains.hematoxylin.values[$0]) }.mean,
            eosin.mean - statistics(around) { Double(stains.eosin.values[$0]) }.mean,
        ]
    }

    /// Pixels over the area of their convex hull.
    private static func solidity(_ inside: [Int], side: Int) -> Double {
        // All four corners of every pixel, so that hull and pixels are measured alike.
        var corners = Set<Int>()
        for index in inside {
            let (x, y) = (index % side, index / side)
            for (cx, cy) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] { corners.insert(cx * (side + 1) + cy) }
        }
        let points = corners.sorted().map { (x: Double($0 / (side + 1)), y: Double($0 % (side + 1))) }
        func half(_ points: [(x: Double, y: Double)]) -> [(x: Double, y: Double)] {
            var hull: [(x: Double, y: Double)] = []
            for p in points {
                while hull.count > 1 {
                    let (a, b) = (hull[hull.count - 2], hull[hull.count - 1])
                    if (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x) > 0 { break }
                    hull.removeLast()
                }
                hull.append(p)
            }
            return Array(hull.dropLast())
        }
        let hull = half(points) + half(points.reversed())
        var doubled = 0.0
        for (i, p) in hull.enumerated() {
            let q = hull[(i + 1) % hull.count]
            doubled += p.x * q.y - q.x * p.y
        }
        return doubled == 0 ? 1 : Double(inside.count) / (abs(doubled) / 2)
    }
}
