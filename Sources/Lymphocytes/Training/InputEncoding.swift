public import Raster

/// How the pixels of a slide become a network's input channels.
public enum InputEncoding: String, Codable, Sendable {
    /// Red, green and blue from −1 to 1, then haematoxylin and eosin concentrations, scaled to a like range.
    case rgbStains = "rgb+he"

    public var channels: Int { 5 }
    /// The channel of haematoxylin.
    public var hematoxylinChannel: Int { 3 }
    /// Units of a stain's channel per unit of its optical density.
    public var stainScale: Float { 2 }

    /// The haematoxylin concentration of a part of an encoded image, for what needs it beside the network.
    func hematoxylin(
        in values: [Float], width: Int, height: Int, x: Int, y: Int, ownWidth: Int, ownHeight: Int
    ) -> Plane<Float> {
        let start = hematoxylinChannel * width * height
        return Plane(
            width: ownWidth, height: ownHeight,
            values: [Float](unsafeUninitializedCapacity: ownWidth * ownHeight) { buffer, count in
                for row in 0..<ownHeight {
                    let source = start + (y + row) * width + x
                    for column in 0..<ownWidth {
                        buffer[row * ownWidth + column] = (values[source + column] + 0.5) / stainScale
                    }
                }
                count = ownWidth * ownHeight
            })
    }

    /// The channels of an image, plane by plane (`CHW`).
    public func encoded(_ image: RGBImage) -> [Float] {
        var values: [Float] = []
        append(image, to: &values)
        return values
    }

    /// Appends the channels of an image, plane by plane (`CHW`).
    public func append(_ image: RGBImage, to values: inout [Float]) {
        let count = image.width * image.height
        let start = values.count
        values.append(contentsOf: repeatElement(0, count: channels * count))
        let stainScale = stainScale
        let stains = ColorDeconvolution.hematoxylinEosin.separated(image)
        values.withUnsafeMutableBufferPointer { target in
            image.pixels.withUnsafeBufferPointer { pixels in
                for i in 0..<count {
                    target[start + i] = Float(pixels[3 * i]) / 127.5 - 1
                    target[start + count + i] = Float(pixels[3 * i + 1]) / 127.5 - 1
                    target[start + 2 * count + i] = Float(pixels[3 * i + 2]) / 127.5 - 1
                    // Tissue has concentrations of 0 to about 0.75: 2c − ½ puts them between −½ and 1.
                    target[start + 3 * count + i] = stainScale * stains.hematoxylin.values[i] - 0.5
                    target[start + 4 * count + i] = stainScale * stains.eosin.values[i] - 0.5
                }
            }
        }
    }
}
