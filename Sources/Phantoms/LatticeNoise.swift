internal import Foundation

/// Smooth random fields that depend on place and seed alone, so that any part of a slide can be drawn by itself.
struct LatticeNoise: Sendable {
    let seed: UInt64

    /// A value between 0 and 1 at a lattice point.
    private func lattice(_ x: Int, _ y: Int) -> Float {
        var z = seed &+ UInt64(bitPattern: Int64(x)) &* 0x9e37_79b9_7f4a_7c15
        z = z &+ UInt64(bitPattern: Int64(y)) &* 0xc2b2_ae3d_27d4_eb4f
        z = (z ^ (z >> 29)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 32)) &* 0x94d0_49bb_1331_11eb
        return Float((z ^ (z >> 31)) >> 40) / Float(1 << 24)
    }

    /// A value between 0 and 1 that changes smoothly over a distance of 1.
    func value(_ x: Float, _ y: Float) -> Float {
        let (fx, fy) = (x.rounded(.down), y.rounded(.down))
        let (ix, iy) = (Int(fx), Int(fy))
        let (tx, ty) = (x - fx, y - fy)
        let (sx, sy) = (tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty))
        let top = lattice(ix, iy) * (1 - sx) + lattice(ix + 1, iy) * sx
        let bottom = lattice(ix, iy + 1) * (1 - sx) + lattice(ix + 1, iy + 1) * sx
        return top * (1 - sy) + bottom * sy
    }

    /// Two octaves, still between 0 and 1.
    func fractal(_ x: Float, _ y: Float) -> Float {
        (value(x, y) * 2 + value(2.1 * x + 17.3, 2.1 * y - 5.9)) / 3
    }
}
