internal import Foundation

/// Reads blank-separated numbers from bytes without making strings: heatmaps have 10⁵ to 10⁶ lines.
enum NumberScanner {
    /// Reads up to `fields.count` numbers, and returns how many there were, or nil where something is no number.
    static func scan(_ bytes: [UInt8], _ range: Range<Int>, into fields: inout [Double]) -> Int? {
        var count = 0
        var position = range.lowerBound
        while position < range.upperBound {
            let byte = bytes[position]
            if byte == 0x20 || byte == 0x09 || byte == 0x0d {
                position += 1
                continue
            }
            guard count < fields.count else { return nil }
            let start = position
            while position < range.upperBound, bytes[position] > 0x20 { position += 1 }
            guard let value = number(bytes, start..<position) else { return nil }
            fields[count] = value
            count += 1
        }
        return count
    }

    /// A decimal of at most 15 digits is exact by one division; anything else goes the slow way.
    private static func number(_ bytes: [UInt8], _ range: Range<Int>) -> Double? {
        var mantissa = 0
        var digits = 0
        var decimals = 0
        var hasPoint = false
        for i in range {
            let byte = bytes[i]
            if byte >= 0x30, byte <= 0x39, digits < 15 {
                mantissa = mantissa * 10 + Int(byte - 0x30)
                digits += 1
                if hasPoint { decimals += 1 }
            } else if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else {
                return Double(String(decoding: bytes[range], as: UTF8.self))
            }
        }
        return digits == 0 ? nil : Double(mantissa) / powersOfTen[decimals]
    }

    private static let powersOfTen: [Double] = (0...15).map { pow(10, Double($0)) }
}
