internal import Foundation

/// A nucleus of a phantom slide.
struct PhantomNucleus: Sendable {
    enum Kind: String, Sendable { case lymphocyte, tumour, stroma }

    let kind: Kind
    /// Centre, level-0 px.
    let x: Float
    let y: Float
    /// Semi-axes in px, and the direction of the longer one.
    let major: Float
    let minor: Float
    let angle: Float
    /// Haematoxylin density of its middle.
    let density: Float
    /// Of its outline's waves and its chromatin.
    let phase: Float
    let texture: LatticeNoise

    /// No pixel farther than this from the centre belongs to it.
    var reach: Float { major * 1.25 + 1 }

    /// How much of a pixel is covered (0 … 1), and the haematoxylin density there.
    func sample(_ px: Float, _ py: Float) -> (coverage: Float, density: Float) {
        let (dx, dy) = (px - x, py - y)
        let (c, s) = (cos(angle), sin(angle))
        let u = (dx * c + dy * s) / major
        let v = (dy * c - dx * s) / minor
        let radius = (u * u + v * v).squareRoot()
        guard radius < 1.3 else { return (0, 0) }
        let direction = atan2(v, u)
        let wave: Float = kind == .lymphocyte ? 0.03 : 0.07
        let edge = 1 + wave * (cos(2 * direction + phase) + 0.7 * cos(3 * direction + 2.3 * phase))
        // The edge is a pixel and a half wide, as optics make it.
        let coverage = max(0, min(1, (edge - radius) * minor / 1.5 + 0.5))
        guard coverage > 0 else { return (0, 0) }
        let depth = radius / edge
        var value = density
        switch kind {
        case .lymphocyte:
            // Coarse clumps close together: the clock face.
            value *= 0.84 + 0.34 * texture.value(px / 2.6, py / 2.6) - 0.06 * depth
        case .tumour:
            // Vesicular: pale inside, a darker rim, loose clumps and a nucleolus.
            value *= 0.66 + 0.4 * texture.value(px / 3.4, py / 3.4) + 0.24 * depth * depth * depth
            let (nx, ny) = (u - 0.3 * cos(phase), v - 0.3 * sin(phase))
            if nx * nx + ny * ny < 0.045 { value += 0.22 }
        case .stroma:
            value *= 0.8 + 0.3 * texture.value(px / 3, py / 3)
        }
        return (coverage, value)
    }
}
