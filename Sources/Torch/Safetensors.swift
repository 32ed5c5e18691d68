public import Foundation

/// Reads and writes tensors in the safetensors format (float32 only): an 8-byte little-endian header length, a JSON
/// header, then the raw values.
public enum Safetensors {
    /// No sane header is longer; safetensors' own limit.
    private static let longestHeader = 100_000_000

    private struct Entry {
        let shape: [Int]
        let range: Range<Int>
    }

    /// Writes the tensors under a temporary name and renames, so that the file is whole or absent.
    ///
    /// The bytes depend only on names, values and metadata: equal tensors give equal files.
    public static func write(_ tensors: [NamedTensor], metadata: [String: String] = [:], to url: URL) throws {
        var header: [String: Any] = [:]
        if !metadata.isEmpty { header["__metadata__"] = metadata }
        var payload = Data()
        for named in tensors.sorted(by: { $0.name < $1.name }) {
            let start = payload.count
            try named.tensor.values().withUnsafeBytes { payload.append(contentsOf: $0) }
            header[named.name] = [
                "dtype": "F32", "shape": named.tensor.shape, "data_offsets": [start, payload.count],
            ]
        }
        var json = try JSONSerialization.data(withJSONObject: header, options: [.sortedKeys])
        // The format wants the values aligned to 8 bytes; spaces may follow the JSON.
        while json.count % 8 != 0 { json.append(0x20) }
        var file = Data()
        withUnsafeBytes(of: UInt64(json.count).littleEndian) { file.append(contentsOf: $0) }
        file.append(json)
        file.append(payload)
        try file.write(to: url, options: .atomic)
    }

    /// Copies the values of `url` into the given tensors, matched by name.
    ///
    /// - Throws: ``TorchError`` where the file is cut off or malformed, lacks a tensor or has one of another shape; no
    ///   tensor has been changed then.
    @discardableResult
    public static func read(_ url: URL, into tensors: [NamedTensor]) throws -> [String: String] {
        let file: Data
        do {
            file = try Data(contentsOf: url)
        } catch {
            throw TorchError(.weights, "cannot read weights \(url.path): \(error.localizedDescription)")
        }
        let (entries, metadata, values) = try parse(file, path: url.path)
        var staged: [(Tensor, Tensor)] = []
        for named in tensors {
            guard let entry = entries[named.name] else {
                throw TorchError(
                    .weights, "\(url.path) has no tensor '\(named.name)': the weights are of another architecture")
            }
            guard entry.shape == named.tensor.shape else {
                throw TorchError(
                    .weights,
                    "\(url.path): tensor '\(named.name)' has shape \(entry.shape), the architecture wants "
                        + "\(named.tensor.shape)")
            }
            let slice = values.subdata(
                in: values.startIndex + entry.range.lowerBound..<values.startIndex + entry.range.upperBound)
            let floats = [Float](unsafeUninitializedCapacity: slice.count / 4) { buffer, count in
                count = slice.copyBytes(to: buffer) / 4
            }
            guard floats.allSatisfy(\.isFinite) else {
                throw TorchError(.weights, "\(url.path): tensor '\(named.name)' holds values that are no numbers")
            }
            staged.append((named.tensor, try Tensor.from(floats, shape: entry.shape)))
        }
        for (target, source) in staged { try target.copyInPlace(source) }
        return metadata
    }

    /// The text pairs in a file's header.
    public static func metadata(of url: URL) throws -> [String: String] {
        guard let file = try? Data(contentsOf: url) else {
            throw TorchError(.weights, "cannot read \(url.path)")
        }
        return try parse(file, path: url.path).1
    }

    private static func parse(_ file: Data, path: String) throws -> ([String: Entry], [String: String], Data) {
        func malformed(_ what: String) -> TorchError {
            TorchError(.weights, "\(path) is no whole safetensors file: \(what)")
        }
        guard file.count >= 8 else { throw malformed("it has only \(file.count) bytes") }
        let length = file.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(longestHeader), Int(length) <= file.count - 8 else {
            throw malformed("the header is cut off")
        }
        let json = file.subdata(in: file.startIndex + 8..<file.startIndex + 8 + Int(length))
        let values = file.subdata(in: file.startIndex + 8 + Int(length)..<file.endIndex)
        guard let header = try? JSONSerialization.jsonObject(with: json) as? [String: Any] else {
            throw malformed("the header is not JSON")
        }
        var entries: [String: Entry] = [:]
        for (name, any) in header where name != "__metadata__" {
            guard let fields = any as? [String: Any], let type = fields["dtype"] as? String,
                let shape = fields["shape"] as? [Int], let offsets = fields["data_offsets"] as? [Int],
                offsets.count == 2, shape.allSatisfy({ $0 >= 0 && $0 < 1 << 31 }), shape.count <= 8
            else { throw malformed("tensor '\(name)' is not described") }
            guard type == "F32" else { throw malformed("tensor '\(name)' is \(type), only F32 is read") }
            guard offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= values.count else {
                throw malformed("the values of '\(name)' are cut off")
            }
            let wanted = shape.reduce((value: 4, overflow: false)) { product, side in
                let next = product.value.multipliedReportingOverflow(by: side)
                return (next.partialValue, product.overflow || next.overflow)
            }
            guard !wanted.overflow, offsets[1] - offsets[0] == wanted.value else {
                throw malformed("the values of '\(name)' do not fill its shape")
            }
            entries[name] = Entry(shape: shape, range: offsets[0]..<offsets[1])
        }
        return (entries, header["__metadata__"] as? [String: String] ?? [:], values)
    }
}
