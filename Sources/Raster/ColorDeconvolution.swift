internal import Foundation

/// Separates haematoxylin and eosin by their absorption (Ruifrok & Johnston 2001).
///
/// Concentrations are optical densities, base 10, along each stain's unit vector.
public struct ColorDeconvolution: Sendable {
    /// Rows: haematoxylin, eosin, third stain; columns: red, green, blue. Each row has length 1.
    public let stains: [[Float]]
    private let inverse: [[Float]]

    /// Ruifrok & Johnston's vectors; the third is their DAB, as in scikit-image's `rgb2hed`, so that figures compare.
    public static let hematoxylinEosin = ColorDeconvolution(
        hematoxylin: [0.650, 0.704, 0.286], eosin: [0.072, 0.990, 0.105], third: [0.268, 0.570, 0.776])

    public init(hematoxylin: [Float], eosin: [Float], third: [Float]) {
        func unit(_ v: [Float]) -> [Float] {
            let length = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).squareRoot()
            return v.map { $0 / length }
        }
        stains = [unit(hematoxylin), unit(eosin), unit(third)]
        inverse = ColorDeconvolution.inverted(stains)
    }

    /// Optical density of each byte value; one is added so that black stays finite.
    public static let opticalDensityTable: [Float] = (0..<256).map { -log10((Float($0) + 1) / 256) }

    /// The haematoxylin and eosin concentrations of every pixel.
    public func separated(_ image: RGBImage) -> (hematoxylin: Plane<Float>, eosin: Plane<Float>) {
        let count = image.width * image.height
        var h = [Float](repeating: 0, count: count)
        var e = [Float](repeating: 0, count: count)
        let (a, b, c) = (inverse[0], inverse[1], inverse[2])
        let (a0, b0, c0, a1, b1, c1) = (a[0], b[0], c[0], a[1], b[1], c[1])
        ColorDeconvolution.opticalDensityTable.withUnsafeBufferPointer { density in
            image.pixels.withUnsafeBufferPointer { pixels in
                h.withUnsafeMutableBufferPointer { h in
                    e.withUnsafeMutableBufferPointer { e in
                        for i in 0..<count {
                            let red = density[Int(pixels[3 * i])]
                            let green = density[Int(pixels[3 * i + 1])]
                            let blue = density[Int(pixels[3 * i + 2])]
                            h[i] = red * a0 + green * b0 + blue * c0
                            e[i] = red * a1 + green * b1 + blue * c1
                        }
                    }
                }
            }
        }
        return (
            Plane(width: image.width, height: image.height, values: h),
            Plane(width: image.width, height: image.height, values: e)
        )
    }

    /// The haematoxylin concentration of every pixel.
    public func hematoxylin(_ image: RGBImage) -> Plane<Float> { separated(image).hematoxylin }

    /// The image as it would be with other stain concentrations: factor · c + offset for haematoxylin and eosin.
    ///
    /// The third stain is left as it is.
    public func restained(
        _ image: RGBImage, factors: (hematoxylin: Float, eosin: Float), offsets: (hematoxylin: Float, eosin: Float)
    ) -> RGBImage {
        // The change of each density is linear in the densities, so one 3×3 matrix and a vector do it.
        var matrix = [[Float]](repeating: [0, 0, 0], count: 3)
        var shift: [Float] = [0, 0, 0]
        for channel in 0..<3 {
            for from in 0..<3 {
                matrix[from][channel] =
                    (from == channel ? 1 : 0)
                    + (factors.hematoxylin - 1) * inverse[from][0] * stains[0][channel]
                    + (factors.eosin - 1) * inverse[from][1] * stains[1][channel]
            }
            shift[channel] = offsets.hematoxylin * stains[0][channel] + offsets.eosin * stains[1][channel]
        }
        let (m0, m1, m2) = (matrix[0], matrix[1], matrix[2])
        let rows = (
            (m0[0], m1[0], m2[0], shift[0]), (m0[1], m1[1], m2[1], shift[1]), (m0[2], m1[2], m2[2], shift[2])
        )
        var result = image
        let table = ColorDeconvolution.transmission
        ColorDeconvolution.opticalDensityTable.withUnsafeBufferPointer { density in
            table.withUnsafeBufferPointer { table in
                image.pixels.withUnsafeBufferPointer { pixels in
                    result.pixels.withUnsafeMutableBufferPointer { target in
                        for i in 0..<(image.width * image.height) {
                            let r = density[Int(pixels[3 * i])]
                            let g = density[Int(pixels[3 * i + 1])]
                            let b = density[Int(pixels[3 * i + 2])]
                            func byte(_ row: (Float, Float, Float, Float)) -> UInt8 {
                                let value = r * row.0 + g * row.1 + b * row.2 + row.3
                                let index = Int(value * ColorDeconvolution.tableSteps + 0.5)
                                return table[max(0, min(table.count - 1, index))]
                            }
                            target[3 * i] = byte(rows.0)
                            target[3 * i + 1] = byte(rows.1)
                            target[3 * i + 2] = byte(rows.2)
                        }
                    }
                }
            }
        }
        return result
    }

    /// Table steps per unit of optical density: finer than a byte's step anywhere (0.0017 at white).
    private static let tableSteps: Float = 2048

    /// Byte value by optical density 0 … 2.41 (black), in steps of 1/2048; replaces a power a channel.
    private static let transmission: [UInt8] = (0..<4960).map { step in
        let value = 256 * pow(10, -Double(step) / Double(tableSteps)) - 1
        return UInt8(max(0, min(255, value.rounded())))
    }

    private static func inverted(_ m: [[Float]]) -> [[Float]] {
        func minor(_ r: Int, _ c: Int) -> Float {
            let rows = [0, 1, 2].filter { $0 != r }
            let columns = [0, 1, 2].filter { $0 != c }
            return m[rows[0]][columns[0]] * m[rows[1]][columns[1]] - m[rows[0]][columns[1]] * m[rows[1]][columns[0]]
        }
        let determinant = m[0][0] * minor(0, 0) - m[0][1] * minor(0, 1) + m[0][2] * minor(0, 2)
        return (0..<3).map { row in
            (0..<3).map { column in ((row + column) % 2 == 0 ? 1 : -1) * minor(column, row) / determinant }
        }
    }
}
