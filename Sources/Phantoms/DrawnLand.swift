internal import LabelSuperResolution

/// Lakes, woods, fields, and a town of roads and roofs, for any place.
struct DrawnLand: LandScene {
    private let water: LatticeNoise
    private let woods: LatticeNoise
    private let town: LatticeNoise
    private let houses: LatticeNoise
    private let texture: LatticeNoise

    init(seed: UInt64) {
        func noise(_ stream: UInt64) -> LatticeNoise {
            LatticeNoise(seed: SeededGenerator.draw(seed: seed, stream: stream))
        }
        (water, woods, town, houses, texture) = (noise(1), noise(2), noise(3), noise(4), noise(5))
    }

    private static let (waterLabel, forest, field, impervious) = (0, 1, 2, 3)

    func label(x: Int, y: Int) -> Int? {
        let (fx, fy) = (Float(x), Float(y))
        let density = town.fractal(fx / 260, fy / 260)
        if isPaved(x: x, y: y, density: density) { return DrawnLand.impervious }
        if water.fractal(fx / 170, fy / 170) > 0.72 { return DrawnLand.waterLabel }
        let wood = woods.fractal(fx / 90, fy / 90) - (density > 0.5 ? 0.1 : 0)
        return wood > 0.47 ? DrawnLand.forest : DrawnLand.field
    }

    /// NLCD's class of a cell by its shares.
    func code(_ shares: [Double], x: Double, y: Double) -> UInt8 {
        switch shares[3] {
        case 0.8...: 24
        case 0.5...: 23
        case 0.2...: 22
        case 0.04...: 21
        default: shares[0] >= 0.5 ? 11 : shares[1] >= 0.5 ? 41 : 81
        }
    }

    /// Streets every 60 px where there is a town, every 240 px elsewhere; roofs between them.
    private func isPaved(x: Int, y: Int, density: Float) -> Bool {
        let isTown = density > 0.52
        let pitch = isTown ? 60 : 240
        func place(_ value: Int, _ pitch: Int) -> Int { ((value % pitch) + pitch) % pitch }
        if place(x, pitch) < 7 || place(y, pitch) < 7 { return true }
        guard isTown else { return false }
        // A lot of 20 × 20 px holds a roof or not.
        let lot = (Int((Double(x) / 20).rounded(.down)), Int((Double(y) / 20).rounded(.down)))
        guard houses.value(Float(lot.0) * 7.3, Float(lot.1) * 5.1) < (density - 0.45) * 5 else { return false }
        return (4..<17).contains(place(x, 20)) && (4..<17).contains(place(y, 20))
    }

    func pixel(label: Int, x: Int, y: Int) -> [UInt8] {
        let (fx, fy) = (Float(x), Float(y))
        let fineNoise = texture.value(fx / 1.7, fy / 1.7) - 0.5
        let patches = texture.fractal(fx / 7 + 100, fy / 7) - 0.5
        let wide = texture.fractal(fx / 60, fy / 60 + 100) - 0.5
        let (base, grain, mottle): ([Float], Float, Float) =
            switch label {
            case DrawnLand.waterLabel: ([62, 82, 92, 38], 10, 6)
            case DrawnLand.forest: ([82, 98, 78, 128], 26, 70)
            case DrawnLand.field: ([134, 144, 110, 158], 16, 22)
            default: ([162, 160, 156, 104], 20, 26)
            }
        return base.map { UInt8(max(1, min(255, $0 + grain * fineNoise + mottle * patches + 34 * wide))) }
    }
}
