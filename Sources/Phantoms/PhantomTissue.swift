internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes

/// The plan of a phantom slide: where tissue, tumour nests and lymphocytes are, and every nucleus in them.
///
/// All of it is computed from the place and the seed, square by square, so that a slide of any size takes little memory.
struct PhantomTissue: Sendable {
    let size: Int
    private let seed: UInt64
    private let outline: LatticeNoise
    private let nests: LatticeNoise
    private let infiltrate: LatticeNoise
    private let lumina: LatticeNoise
    private let fibreAngle: Float

    /// The side of the squares in which nuclei are placed, px.
    static let square = 100
    /// Most lymphocytes of a square: 26 of 154 px each fill 40 % of it.
    private static let mostLymphocytes = 30.0

    init(size: Int, seed: UInt64) {
        self.size = size
        self.seed = seed
        outline = LatticeNoise(seed: seed ^ 0x11)
        nests = LatticeNoise(seed: seed ^ 0x22)
        infiltrate = LatticeNoise(seed: seed ^ 0x33)
        lumina = LatticeNoise(seed: seed ^ 0x44)
        fibreAngle = Float(seed % 628) / 100
    }

    /// Above 0 inside the tissue; about 1 for each 40 px from its edge.
    func tissue(_ x: Float, _ y: Float) -> Float {
        let half = Float(size) / 2
        let (dx, dy) = ((x - half) / half, (y - half) / half)
        let radius = (dx * dx + dy * dy).squareRoot()
        let wobble = (outline.fractal(x / half * 2.4, y / half * 2.4) - 0.5) * 0.5
        return (0.9 + wobble - radius) * half / 40
    }

    /// Above 0 inside tumour nests.
    func nest(_ x: Float, _ y: Float) -> Float { (nests.fractal(x / 170, y / 170) - 0.5) * 8 }

    /// Above 0 in the empty middle of a gland or vessel.
    func lumen(_ x: Float, _ y: Float) -> Float { (lumina.value(x / 130, y / 130) - 0.86) * 20 }

    /// The expected share of the most lymphocytes that a square can hold.
    private func lymphocyteDensity(_ x: Float, _ y: Float) -> Double {
        let field = Double(infiltrate.fractal(x / 420, y / 420))
        let rise = max(0, min(1, (field - 0.36) / 0.36))
        return rise * rise
    }

    /// The nuclei whose centres lie in a square.
    func nuclei(column: Int, row: Int) -> [PhantomNucleus] {
        var generator = SeededGenerator(
            seed: seed, stream: UInt64(truncatingIfNeeded: row) << 32 | UInt64(UInt32(truncatingIfNeeded: column)))
        let side = Float(PhantomTissue.square)
        let (left, top) = (Float(column) * side, Float(row) * side)
        var placed: [PhantomNucleus] = []
        func isFree(_ x: Float, _ y: Float, _ distance: Float) -> Bool {
            tissue(x, y) > 0.2 && lumen(x, y) < -0.2
                && placed.allSatisfy { ($0.x - x) * ($0.x - x) + ($0.y - y) * ($0.y - y) > distance * distance }
        }
        func point() -> (Float, Float) {
            (
                left + Float.random(in: 0..<side, using: &generator),
                top + Float.random(in: 0..<side, using: &generator)
            )
        }
        let expected = lymphocyteDensity(left + side / 2, top + side / 2) * PhantomTissue.mostLymphocytes
        let wanted = max(0, expected + 0.6 * expected.squareRoot() * generator.nextGaussian())
        var lymphocytes = 0
        for _ in 0..<(Int(wanted) * 12) where lymphocytes < Int(wanted.rounded()) {
            let (x, y) = point()
            // Touching and slightly overlapping neighbours are part of the picture.
            guard isFree(x, y, 11.5) else { continue }
            placed.append(lymphocyte(x, y, using: &generator))
            lymphocytes += 1
        }
        // Crowds of lymphocytes leave less room for others.
        for _ in 0..<60 {
            let (x, y) = point()
            if nest(x, y) > 0 {
                if isFree(x, y, 18) { placed.append(tumour(x, y, using: &generator)) }
            } else if Float.random(in: 0..<1, using: &generator) < 0.16, isFree(x, y, 15) {
                placed.append(stroma(x, y, using: &generator))
            }
        }
        return placed
    }

    /// Every nucleus whose centre lies on the slide, square by square.
    func allNuclei() -> [PhantomNucleus] {
        let last = (size - 1) / PhantomTissue.square
        var all: [PhantomNucleus] = []
        for row in 0...last {
            for column in 0...last {
                all += nuclei(column: column, row: row).filter { $0.x < Float(size) && $0.y < Float(size) }
            }
        }
        return all
    }

    private func normal(_ mean: Double, _ deviation: Double, _ generator: inout SeededGenerator) -> Float {
        Float(mean + deviation * max(-2.2, min(2.2, generator.nextGaussian())))
    }

    private func angle(_ generator: inout SeededGenerator) -> Float {
        Float.random(in: 0..<(2 * .pi), using: &generator)
    }

    private func lymphocyte(_ x: Float, _ y: Float, using generator: inout SeededGenerator) -> PhantomNucleus {
        let major = normal(7.1, 0.55, &generator)
        return PhantomNucleus(
            kind: .lymphocyte, x: x, y: y, major: major, minor: major * Float.random(in: 0.84...1, using: &generator),
            angle: angle(&generator), density: normal(0.70, 0.09, &generator), phase: angle(&generator),
            texture: LatticeNoise(seed: generator.next()))
    }

    private func tumour(_ x: Float, _ y: Float, using generator: inout SeededGenerator) -> PhantomNucleus {
        // One in four is hyperchromatic: as dark as a lymphocyte, and told apart by size, shape and chromatin only.
        let isDark = Float.random(in: 0..<1, using: &generator) < 0.25
        let major = normal(isDark ? 10.2 : 11.2, 1.3, &generator)
        return PhantomNucleus(
            kind: .tumour, x: x, y: y, major: major, minor: major * Float.random(in: 0.66...0.92, using: &generator),
            angle: angle(&generator), density: normal(isDark ? 0.80 : 0.58, 0.10, &generator), phase: angle(&generator),
            texture: LatticeNoise(seed: generator.next()))
    }

    private func stroma(_ x: Float, _ y: Float, using generator: inout SeededGenerator) -> PhantomNucleus {
        PhantomNucleus(
            kind: .stroma, x: x, y: y, major: normal(12.5, 2, &generator), minor: normal(3.5, 0.5, &generator),
            angle: fibre(x, y) + normal(0, 0.25, &generator), density: normal(0.66, 0.10, &generator),
            phase: angle(&generator), texture: LatticeNoise(seed: generator.next()))
    }

    /// A place in the frame of the fibres: how far along them, and how far across.
    ///
    /// The frame is bent, but nowhere so much that neighbouring pixels come to lie strands apart.
    func fibreFrame(_ x: Float, _ y: Float) -> (along: Float, across: Float) {
        let (c, s) = (cos(fibreAngle), sin(fibreAngle))
        let bend = 150 * outline.value(x / 260 + 40, y / 260 - 40) + 40 * nests.value(x / 90 - 9, y / 90 + 9)
        return (x * c + y * s, y * c - x * s + bend)
    }

    /// The direction of the fibres at a place.
    func fibre(_ x: Float, _ y: Float) -> Float {
        let here = fibreFrame(x, y).across
        let (dx, dy) = (fibreFrame(x + 2, y).across - here, fibreFrame(x, y + 2).across - here)
        return atan2(-dx, dy)
    }
}
