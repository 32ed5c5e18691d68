internal import Foundation
internal import GRDB

/// A value of a row that is not what the schema says: the file is damaged, or was changed by hand.
struct DamagedRow: Error, CustomStringConvertible {
    let description: String
}

/// What a column may be read as. A results file comes from outside: a value of another kind is an error, never a trap.
protocol StrictValue {
    static var kind: String { get }
    init?(strict value: DatabaseValue)
}

extension Int64: StrictValue {
    static var kind: String { "a whole number" }
    init?(strict value: DatabaseValue) {
        guard case .int64(let number) = value.storage else { return nil }
        self = number
    }
}

extension Int: StrictValue {
    static var kind: String { "a whole number" }
    init?(strict value: DatabaseValue) {
        guard case .int64(let number) = value.storage else { return nil }
        self.init(exactly: number)
    }
}

extension Bool: StrictValue {
    static var kind: String { "0 or 1" }
    init?(strict value: DatabaseValue) {
        guard case .int64(let number) = value.storage, number == 0 || number == 1 else { return nil }
        self = number == 1
    }
}

extension Double: StrictValue {
    static var kind: String { "a finite number" }
    init?(strict value: DatabaseValue) {
        switch value.storage {
        case .int64(let number): self.init(number)
        case .double(let number) where number.isFinite: self = number
        default: return nil
        }
    }
}

extension String: StrictValue {
    static var kind: String { "text" }
    init?(strict value: DatabaseValue) {
        guard case .string(let text) = value.storage else { return nil }
        self = text
    }
}

extension Data: StrictValue {
    static var kind: String { "bytes" }
    init?(strict value: DatabaseValue) {
        guard case .blob(let bytes) = value.storage else { return nil }
        self = bytes
    }
}

extension Optional: StrictValue where Wrapped: StrictValue {
    static var kind: String { Wrapped.kind + " or NULL" }
    init?(strict value: DatabaseValue) {
        if case .null = value.storage {
            self = nil
            return
        }
        guard let wrapped = Wrapped(strict: value) else { return nil }
        self = .some(wrapped)
    }
}

extension Row {
    /// The value of a column.
    ///
    /// - Throws: ``DamagedRow`` where it is of another kind.
    func get<Value: StrictValue>(_ index: Int, as type: Value.Type = Value.self) throws -> Value {
        let value: DatabaseValue = self[index]
        guard let result = Value(strict: value) else {
            let name = Array(columnNames)[index]
            throw DamagedRow(description: "a row has \(Row.text(value)) in column \(name), where \(Value.kind) belongs")
        }
        return result
    }

    private static func text(_ value: DatabaseValue) -> String {
        switch value.storage {
        case .null: "NULL"
        case .int64(let number): String(number)
        case .double(let number): String(number)
        case .string(let text): "'\(text.prefix(40))'"
        case .blob(let bytes): "\(bytes.count) bytes"
        }
    }
}
