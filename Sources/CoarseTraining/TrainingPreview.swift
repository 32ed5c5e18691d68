internal import Charts
internal import Foundation
public import LabelSuperResolution
public import Raster

/// Pictures of the same held-out regions as training goes on.
public struct TrainingPreview {
    private let folder: ModelFolder
    private let channels: Int
    private let encode: (RGBImage) -> [Float]

    /// - Parameters:
    ///   - channels: of the network's input.
    ///   - encode: makes the input of an image, `CHW`.
    public init(folder: ModelFolder, channels: Int, encode: @escaping (RGBImage) -> [Float]) {
        self.folder = folder
        self.channels = channels
        self.encode = encode
    }

    /// Square images of regions with a margin that gives the network its context and is not shown.
    public struct Regions {
        /// Each with the name of its coarse label.
        public let images: [(image: RGBImage, title: String)]
        public let margin: Int

        public init(images: [(image: RGBImage, title: String)], margin: Int) {
            self.images = images
            self.margin = margin
        }
    }

    /// Writes `previews/step-000100.png`: each region above its probability map, with the outline of p ≥ ½.
    public func write(step: Int, network: any SegmentationNetwork, regions: Regions) throws {
        guard let side = regions.images.first?.image.width else { return }
        let margin = regions.margin
        let shown = side - 2 * margin
        let (zoom, gap, top) = (3, 12, 34)
        let cell = shown * zoom
        let canvas = try Canvas(width: gap + regions.images.count * (cell + gap), height: top + 2 * (cell + gap))
        canvas.text("Step \(step)", x: Double(gap), y: 22, size: 14, isBold: true)
        for (index, (image, title)) in regions.images.enumerated() {
            let logOdds = try network.logOdds(
                ImageBatch(count: 1, channels: channels, height: side, width: side, values: encode(image)))
            let map = Plane(width: side, height: side, values: logOdds)
                .cropped(x: margin, y: margin, width: shown, height: shown)
            let own = image.cropped(x: margin, y: margin, width: shown, height: shown)
            let x = gap + index * (cell + gap)
            canvas.text(
                title, x: Double(x + cell), y: 22, size: 12, color: .muted, alignment: .right)
            canvas.image(TrainingPreview.outlined(own, logOdds: map).enlarged(zoom), x: x, y: top)
            canvas.image(TrainingPreview.heat(map).enlarged(zoom), x: x, y: top + cell + gap)
        }
        let name = String(format: "step-%06d.png", step)
        try PNG.write(canvas.rendered(), to: folder.previews.appendingPathComponent(name))
    }

    /// Probability from white over violet to near black.
    private static func heat(_ logOdds: Plane<Float>) -> RGBImage {
        var result = RGBImage(width: logOdds.width, height: logOdds.height)
        for (i, value) in logOdds.values.enumerated() {
            let p = 1 / (1 + exp(-value))
            let color: (Float, Float, Float) =
                p < 0.5
                ? (255 - p * 2 * (255 - 150), 255 - p * 2 * (255 - 100), 255 - p * 2 * (255 - 200))
                : (150 - (p - 0.5) * 2 * 110, 100 - (p - 0.5) * 2 * 90, 200 - (p - 0.5) * 2 * 120)
            result.pixels[3 * i] = UInt8(color.0)
            result.pixels[3 * i + 1] = UInt8(color.1)
            result.pixels[3 * i + 2] = UInt8(color.2)
        }
        return result
    }

    public static func outlined(_ image: RGBImage, logOdds: Plane<Float>) -> RGBImage {
        var result = image
        for y in 1..<(image.height - 1) {
            for x in 1..<(image.width - 1) where logOdds[x, y] >= 0 {
                let isBorder =
                    logOdds[x - 1, y] < 0 || logOdds[x + 1, y] < 0 || logOdds[x, y - 1] < 0 || logOdds[x, y + 1] < 0
                if isBorder { result[x, y] = (20, 190, 90) }
            }
        }
        return result
    }
}
