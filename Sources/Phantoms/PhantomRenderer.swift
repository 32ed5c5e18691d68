internal import Foundation
internal import LabelSuperResolution
internal import Lymphocytes
internal import Raster

/// Paints the plan of a phantom slide as a stained section under a scanner, band by band.
struct PhantomRenderer: Sendable {
    let tissue: PhantomTissue
    private let seed: UInt64
    private let fibres: LatticeNoise
    private let grain: LatticeNoise
    /// Absorption of haematoxylin and eosin by red, green and blue on this slide.
    private let hematoxylin: [Float]
    private let eosin: [Float]
    private let strength: (hematoxylin: Float, eosin: Float)

    init(tissue: PhantomTissue, seed: UInt64) {
        self.tissue = tissue
        self.seed = seed
        fibres = LatticeNoise(seed: seed ^ 0x55)
        grain = LatticeNoise(seed: seed ^ 0x66)
        var generator = SeededGenerator(seed: seed, stream: 0x57a1)
        func stain(_ vector: [Float]) -> [Float] {
            let moved = vector.map { max(0.02, $0 + Float(0.02 * generator.nextGaussian())) }
            let length = moved.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return moved.map { $0 / length }
        }
        hematoxylin = stain([0.650, 0.704, 0.286])
        eosin = stain([0.14, 0.97, 0.19])
        strength = (
            Float.random(in: 0.88...1.12, using: &generator), Float.random(in: 0.85...1.15, using: &generator)
        )
    }

    /// Rows `y ..< y + height` of the slide at full width, and which pixels belong to lymphocytes.
    func band(y: Int, height: Int) -> (image: RGBImage, lymphocytes: Plane<Bool>) {
        let width = tissue.size
        var h = [Float](repeating: 0, count: width * height)
        var e = h
        background(y: y, height: height, &h, &e)
        var lymphocytes = Plane(width: width, height: height, repeating: false)
        // Nuclei reach up to 20 px out of their square.
        let square = PhantomTissue.square
        for row in ((y - 20) / square - 1)...((y + height + 20) / square) {
            for column in 0...((width - 1) / square) {
                for nucleus in tissue.nuclei(column: column, row: row) {
                    paint(nucleus, y: y, height: height, &h, &e, &lymphocytes)
                }
            }
        }
        return (develop(h, e, y: y, height: height), lymphocytes)
    }

    private func background(y: Int, height: Int, _ h: inout [Float], _ e: inout [Float]) {
        for row in 0..<height {
            for x in 0..<tissue.size {
                let (px, py) = (Float(x), Float(y + row))
                let inside = tissue.tissue(px, py)
                guard inside > 0 else { continue }
                let edge = min(1, inside * 3) * max(0, min(1, -tissue.lumen(px, py) * 2))
                let i = row * tissue.size + x
                let nest = max(0, min(1, tissue.nest(px, py) * 3 + 0.5))
                let place = tissue.fibreFrame(px, py)
                let strand = fibres.value(place.along / 34, place.across / 5)
                let cloud = grain.value(px / 9, py / 9)
                let stroma = 0.10 + 0.26 * strand + 0.06 * cloud
                let cytoplasm = 0.22 + 0.10 * cloud + 0.05 * fibres.value(px / 22, py / 22)
                e[i] = edge * (stroma * (1 - nest) + cytoplasm * nest)
                h[i] = edge * (0.02 + 0.03 * strand * (1 - nest) + nest * (0.07 + 0.06 * cloud))
            }
        }
    }

    private func paint(
        _ nucleus: PhantomNucleus, y: Int, height: Int, _ h: inout [Float], _ e: inout [Float],
        _ lymphocytes: inout Plane<Bool>
    ) {
        let reach = nucleus.reach
        let top = max(y, Int((nucleus.y - reach).rounded(.down)))
        let bottom = min(y + height, Int((nucleus.y + reach).rounded(.up)))
        let left = max(0, Int((nucleus.x - reach).rounded(.down)))
        let right = min(tissue.size, Int((nucleus.x + reach).rounded(.up)))
        guard top < bottom, left < right else { return }
        for py in top..<bottom {
            for px in left..<right {
                let (coverage, density) = nucleus.sample(Float(px) + 0.5, Float(py) + 0.5)
                guard coverage > 0 else { continue }
                let i = (py - y) * tissue.size + px
                // Where two overlap, light passes both in part.
                let own = coverage * density
                h[i] = max(h[i], own) + 0.3 * min(h[i], own)
                e[i] *= 1 - 0.5 * coverage
                if nucleus.kind == .lymphocyte, coverage > 0.5 { lymphocytes[px, py - y] = true }
            }
        }
    }

    private func develop(_ h: [Float], _ e: [Float], y: Int, height: Int) -> RGBImage {
        let width = tissue.size
        var image = RGBImage(width: width, height: height)
        for row in 0..<height {
            var noise = SeededGenerator(seed: seed ^ 0x77, stream: UInt64(y + row))
            for x in 0..<width {
                let i = row * width + x
                // One draw gives three small, nearly normal errors: the sensor's.
                let bits = noise.next()
                for channel in 0..<3 {
                    let density =
                        0.012 + h[i] * strength.hematoxylin * hematoxylin[channel] + e[i] * strength.eosin
                        * eosin[channel]
                    let draw = bits >> (UInt64(channel) * 20)
                    let error = Float(draw & 0x3ff) / 1024 + Float(draw >> 10 & 0x3ff) / 1024 - 1
                    let value = 252 * exp(-2.302585 * density) + 4 * error
                    image.pixels[3 * i + channel] = UInt8(max(0, min(255, value.rounded())))
                }
            }
        }
        return image
    }
}
