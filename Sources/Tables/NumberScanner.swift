internal import Foundation

/// Reads blank-separated numbers from bytes without making strings: files may have a million lines.
public enum NumberScanner {
    /// Reads up to `fields.count` numbers, and returns how many there were, or nil where something is no number.
    public static func scan(_ bytes: [UInt8], _ range: Range<Int>, into fields: inout [Double]) -> Int? {
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

    /// Whether a line is a header: words, of which none is a number.
    public static func hasOnlyWords(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
        let words = bytes[range].split { $0 <= 0x20 }
        return !words.isEmpty
            && words.allSatisfy { word in
                // "nan" is a number that went wrong, no column's name.
                word.contains { ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") }
                    && Double(String(decoding: word, as: UTF8.self)) == nil
            }
    }

    /// A decimal of at most 15 digits is exact by one division; anything else goes the slow way.
    private static func number(_ bytes: [UInt8], _ range: Range<Int>) -> Double? {
        guard range.count <= longest else { return nil }
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
                return Double(String(decoding: bytes[range], as: UTF8.self)).flatMap {
                    isDecimal(bytes, range) ? $0 : nil
                }
            }
        }
        return digits == 0 ? nil : Double(mantissa) / powersOfTen[decimals]
    }

    /// The finite number that a field of a table holds, blanks around it aside; nil where it holds none.
    static func number(_ bytes: [UInt8], _ range: Range<Int>, decimalComma: Bool) -> Double? {
        var (first, last) = (range.lowerBound, range.upperBound)
        while first < last, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
        while first < last, bytes[last - 1] == 0x20 || bytes[last - 1] == 0x09 { last -= 1 }
        guard first < last else { return nil }
        let value: Double?
        if decimalComma, let comma = bytes[first..<last].firstIndex(of: UInt8(ascii: ",")) {
            var text = Array(bytes[first..<last])
            text[comma - first] = UInt8(ascii: ".")
            value = number(text, 0..<text.count)
        } else {
            value = number(bytes, first..<last)
        }
        return value.flatMap { $0.isFinite ? $0 : nil }
    }

    /// Swift reads hexadecimal numbers too; in a table they are a mistake. `nan` and `inf` are for the caller to refuse.
    private static func isDecimal(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
        !bytes[range].contains { $0 == UInt8(ascii: "x") || $0 == UInt8(ascii: "X") }
    }

    /// No number has more characters.
    private static let longest = 400

    private static let powersOfTen: [Double] = (0...15).map { pow(10, Double($0)) }
}
