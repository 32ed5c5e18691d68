internal import COneDNN
public import Failures

/// The library behind this target: what it is and what it finds.
public enum OneDNN {
    /// The version in use, for example 2.6.3.
    public static var version: String {
        let number = conednn_version()
        return "\(number / 10_000).\(number / 100 % 100).\(number % 100)"
    }

    /// Whether the CPU has vectors of 16 floats (AVX-512), for which ``Convolution/Layout/blocks`` is made.
    public static var hasWideVectors: Bool { conednn_has_avx512() != 0 }

    /// Whether the CPU sums products of bytes in 32 bits (VNNI). Elsewhere they saturate in 16 bits, and byte convolutions
    /// give other results.
    public static var sumsBytesExactly: Bool { conednn_has_vnni() != 0 }
}

/// Why oneDNN could not do something.
public enum OneDNNFailures {}

/// Why oneDNN could not do something.
public typealias OneDNNError = Failure<OneDNNFailures>

extension Failure.Code where Domain == OneDNNFailures {
    /// oneDNN refused or failed a computation.
    public static var computation: Self { Self("computation") }
}

/// Memory for one image's pixels, aligned for vectors. Its content is not initialised.
public final class PixelBuffer {
    public let base: UnsafeMutableRawPointer
    public let byteCount: Int

    public init(byteCount: Int) {
        self.byteCount = byteCount
        base = UnsafeMutableRawPointer.allocate(byteCount: max(64, byteCount), alignment: 64)
    }

    deinit { base.deallocate() }

    public var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
    public var bytes: UnsafeMutablePointer<UInt8> { base.assumingMemoryBound(to: UInt8.self) }
    public var signedBytes: UnsafeMutablePointer<Int8> { base.assumingMemoryBound(to: Int8.self) }
}

/// A convolution of stride 1 that keeps the image size, with bias, for images of one size.
///
/// It runs on the calling thread. Not safe for concurrent use: each thread has its own.
public final class Convolution {
    /// The type of an image's values.
    public enum Element: Sendable {
        case float
        case byte
        case signedByte

        var code: conednn_type {
            switch self {
            case .float: CONEDNN_F32
            case .byte: CONEDNN_U8
            case .signedByte: CONEDNN_S8
            }
        }
    }

    /// How an image lies in memory.
    public enum Layout: Sendable {
        /// `HWC`.
        case pixels
        /// Blocks of 16 channels one behind the other, each `HWC`; with 16 channels the same as `pixels`.
        case blocks
        /// Blocks too, and the convolution (3×3, 32 bits) is computed after Winograd: half the products, and rounding errors
        /// of about 1e-6 of the largest value.
        case blocksByWinograd
    }

    private let handle: OpaquePointer

    /// - Parameters:
    ///   - hasReLU: whether what is below 0 becomes 0.
    ///   - addsToOutput: whether the sum is added to what the output holds, before ReLU.
    ///   - weights: `OIHW`; whole numbers from −127 to 127 where the input is of bytes.
    ///   - bias: a value an output channel, in units of the sums.
    ///   - scales: what each output channel's sum, bias included, is multiplied with; nil for 1.
    public init(
        kernel: Int, inputChannels: Int, outputChannels: Int, height: Int, width: Int, input: Element, output: Element,
        layout: Layout = .pixels, hasReLU: Bool = true, addsToOutput: Bool = false,
        weights: [Float], bias: [Float], scales: [Float]? = nil
    ) throws(OneDNNError) {
        precondition(weights.count == outputChannels * inputChannels * kernel * kernel, "weights are OIHW")
        precondition(bias.count == outputChannels && (scales?.count ?? outputChannels) == outputChannels)
        var status: Int32 = 0
        var flags = (hasReLU ? CONEDNN_RELU : 0) | (addsToOutput ? CONEDNN_ADD : 0)
        switch layout {
        case .pixels: break
        case .blocks: flags |= CONEDNN_BLOCKED
        case .blocksByWinograd: flags |= CONEDNN_BLOCKED | CONEDNN_WINOGRAD
        }
        let made = weights.withUnsafeBufferPointer { weights in
            bias.withUnsafeBufferPointer { bias in
                func create(_ scales: UnsafePointer<Float>?) -> OpaquePointer? {
                    conednn_convolution_create(
                        Int32(kernel), Int32(inputChannels), Int32(outputChannels), Int32(height), Int32(width),
                        input.code, output.code, weights.baseAddress, bias.baseAddress, scales,
                        Int32(flags), &status)
                }
                return scales.map { $0.withUnsafeBufferPointer { create($0.baseAddress) } } ?? create(nil)
            }
        }
        guard let made else {
            throw OneDNNError(
                .computation,
                "oneDNN cannot make a convolution of \(inputChannels) to \(outputChannels) channels (status \(status))"
            )
        }
        handle = made
    }

    deinit { conednn_convolution_destroy(handle) }

    /// Bytes of scratch memory that a run needs.
    public var scratchBytes: Int { conednn_convolution_scratch(handle) }

    /// - Parameter scratch: of ``scratchBytes`` at least; its content is lost.
    public func run(
        _ input: UnsafeRawPointer, into output: UnsafeMutableRawPointer, scratch: PixelBuffer
    ) throws(OneDNNError) {
        precondition(scratch.byteCount >= scratchBytes, "the scratch memory is too small")
        let status = conednn_convolution_run(handle, input, output, scratch.base)
        guard status == 0 else { throw OneDNNError(.computation, "a convolution of oneDNN failed (status \(status))") }
    }
}
