/// A short name for data that changes with them (FNV-1a, 64 bits). It tells versions apart; it is no protection.
public struct Fingerprint: Sendable {
    private var hash = UInt64(0xcbf2_9ce4_8422_2325)

    public init() {}

    public mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }

    public mutating func add(_ value: Double) {
        withUnsafeBytes(of: value.bitPattern.littleEndian) { add($0) }
    }

    /// Sixteen hexadecimal digits.
    public var text: String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
