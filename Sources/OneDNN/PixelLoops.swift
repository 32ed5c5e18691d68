internal import COneDNN

/// What lies between the convolutions of a network, on pixels in `HWC` order if nothing else is said. Everything runs on the calling thread.
public enum PixelLoops {
    /// Planes (`CHW`) to pixels (`HWC`); squares of side² pixels become channels in the order (channel, row, column).
    public static func fold(
        _ planes: UnsafePointer<Float>, channels: Int, height: Int, width: Int, side: Int, into output: PixelBuffer
    ) {
        conednn_fold_f32(planes, Int32(channels), Int32(height), Int32(width), Int32(side), output.floats)
    }

    /// The same in bytes of ±127: each plane is multiplied with its factor and rounded.
    public static func fold(
        _ planes: UnsafePointer<Float>, factors: [Float], height: Int, width: Int, side: Int, scratch: PixelBuffer,
        into output: PixelBuffer
    ) {
        precondition(scratch.byteCount >= factors.count * side * width, "the scratch memory is too small")
        conednn_fold_s8(
            planes, Int32(factors.count), Int32(height), Int32(width), Int32(side), factors, scratch.signedBytes,
            output.signedBytes)
    }

    /// The maximum of each square of 2×2 pixels; height and width are the input's.
    public static func pool(
        _ input: PixelBuffer, element: Convolution.Element, height: Int, width: Int, channels: Int,
        into output: PixelBuffer
    ) {
        if element == .float {
            conednn_pool_f32(input.floats, Int32(height), Int32(width), Int32(channels), output.floats)
        } else {
            conednn_pool_u8(input.bytes, Int32(height), Int32(width), Int32(channels), output.bytes)
        }
    }

    /// `low` enlarged twofold (bilinear), with the channels of `skip` behind its own; height and width are those of `low`.
    public static func enlarge(
        _ low: PixelBuffer, channels: Int, joining skip: PixelBuffer, skipChannels: Int, element: Convolution.Element,
        height: Int, width: Int, into output: PixelBuffer
    ) {
        if element == .float {
            conednn_enlarge_join_f32(
                low.floats, Int32(channels), skip.floats, Int32(skipChannels), Int32(height), Int32(width),
                output.floats)
        } else {
            conednn_enlarge_join_u8(
                low.bytes, Int32(channels), skip.bytes, Int32(skipChannels), Int32(height), Int32(width), output.bytes)
        }
    }

    /// The 3×3 convolution of an image enlarged twofold (bilinear), from its nine taps applied to the image as it is.
    ///
    /// - Parameters:
    ///   - taps: blocks; `channels` for each tap, row by row from the kernel's top left.
    ///   - channels: a multiple of 16.
    ///   - output: blocks, of 2 `height` × 2 `width`.
    public static func enlarge(
        taps: PixelBuffer, channels: Int, height: Int, width: Int, scratch: PixelBuffer, into output: PixelBuffer
    ) {
        precondition(channels % 16 == 0, "blocks have 16 channels")
        precondition(scratch.byteCount >= enlargeScratch(width: width), "the scratch memory is too small")
        conednn_enlarge_taps(
            taps.floats, Int32(channels), Int32(height), Int32(width), scratch.floats, output.floats)
    }

    /// Bytes of scratch memory that ``enlarge(taps:channels:height:width:scratch:into:)`` needs.
    public static func enlargeScratch(width: Int) -> Int { 4 * 96 * width }

    /// Divides values, and returns whether each is a number then.
    public static func divide(_ values: UnsafeMutablePointer<Float>, count: Int, by divisor: Float) -> Bool {
        conednn_divide(values, count, divisor) != 0
    }

    /// `HWC` to blocks; channels are a multiple of 16.
    public static func block(_ pixels: PixelBuffer, count: Int, channels: Int, into output: PixelBuffer) {
        conednn_block(pixels.floats, count, Int32(channels), output.floats)
    }

    /// The maximum of each square of 2×2 pixels of an image in blocks; height and width are the input's.
    public static func poolBlocks(
        _ input: PixelBuffer, height: Int, width: Int, channels: Int, into output: PixelBuffer
    ) {
        let pixels = 16 * height * width
        for block in 0..<(channels / 16) {
            conednn_pool_f32(
                input.floats + block * pixels, Int32(height), Int32(width), 16, output.floats + block * pixels / 4)
        }
    }

    /// A weighted sum of each pixel's channels, plus bias, of an image in blocks: one plane.
    public static func projectBlocks(
        _ input: PixelBuffer, pixels: Int, weights: [Float], bias: Float, into output: UnsafeMutablePointer<Float>
    ) {
        conednn_project_blocked(input.floats, pixels, Int32(weights.count), weights, bias, output)
    }

    /// A weighted sum of each pixel's channels, plus bias: one plane.
    public static func project(
        _ input: PixelBuffer, element: Convolution.Element, pixels: Int, weights: [Float], bias: Float,
        into output: UnsafeMutablePointer<Float>
    ) {
        if element == .float {
            conednn_project_f32(input.floats, pixels, Int32(weights.count), weights, bias, output)
        } else {
            conednn_project_u8(input.bytes, pixels, Int32(weights.count), weights, bias, output)
        }
    }

    /// A plane enlarged twofold (bilinear); height and width are the input's.
    public static func enlarge(
        _ plane: UnsafePointer<Float>, height: Int, width: Int, into output: UnsafeMutablePointer<Float>
    ) {
        conednn_enlarge_plane(plane, Int32(height), Int32(width), output)
    }

    /// Adds weight · (mean of `plane` over a disc); outside the image lies zero.
    public static func addDiscMean(
        of plane: UnsafePointer<Float>, height: Int, width: Int, radius: Int, weight: Float, scratch: PixelBuffer,
        to output: UnsafeMutablePointer<Float>
    ) {
        precondition(scratch.byteCount >= discScratch(width: width, radius: radius), "the scratch memory is too small")
        conednn_add_disc_mean(
            plane, Int32(height), Int32(width), Int32(radius), weight, scratch.floats, output)
    }

    /// Bytes of scratch memory that ``addDiscMean(of:height:width:radius:weight:scratch:to:)`` needs.
    public static func discScratch(width: Int, radius: Int) -> Int {
        4 * (width + 2 * radius + (2 * radius + 1) * (radius + 1) * width)
    }
}

/// How large values are: a histogram over the floating-point numbers ≥ 0, 128 steps a power of two.
public struct SizeHistogram: Sendable {
    private var counts = [UInt32](repeating: 0, count: 32768)

    public init() {}

    public mutating func add(_ values: UnsafePointer<Float>, count: Int) {
        conednn_count_sizes(values, count, &counts)
    }

    /// The value that the share `quantile` of all values does not exceed, to 1 %; 0 where there are none.
    public func value(at quantile: Double) -> Float {
        let total = counts.reduce(0.0) { $0 + Double($1) }
        var sum = 0.0
        for (bin, count) in counts.enumerated() where count > 0 {
            sum += Double(count)
            // The upper end of the bin.
            if sum >= quantile * total { return Float(bitPattern: UInt32(bin + 1) << 16) }
        }
        return 0
    }
}
