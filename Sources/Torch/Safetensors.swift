internal import Failures
public import Foundation

/// Reads and writes tensors in the safetensors format (float32 only): an 8-byte little-endian header length, a JSON
/// header, then the raw values.
public enum Safetensors {
    /// No header of ours comes near it; parsed, one takes many times its size.
    private static let longestHeader = 4 << 20
    /// A file may hold more than what is asked for (a checkpoint holds Adam's moments too), but not much more.
    private static let spareBytes = 64 << 20

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
        let wanted = tensors.reduce(0) { $0 + 4 * $1.tensor.shape.reduce(1, *) }
        let file = try bytes(of: url, most: 16 * wanted + spareBytes)
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
        let (header, _) = try header(of: try bytes(of: url, most: nil), path: url.path)
        return header["__metadata__"] as? [String: String] ?? [:]
    }

    /// A file's bytes; with `most` nil those of its header alone.
    ///
    /// - Throws: ``TorchError`` where it cannot be read or is larger than `most`.
    private static func bytes(of url: URL, most: Int?) throws -> Data {
        func failure(_ reason: String) -> TorchError {
            TorchError(.weights, "cannot read weights \(url.path): \(reason)")
        }
        var status = stat()
        guard stat(url.path, &status) == 0 else { throw failure(String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw failure("it is no regular file") }
        let size = Int(status.st_size)
        if let most, size > most {
            throw failure("its \(size) bytes are far more than the \(most) that the architecture can need")
        }
        do {
            let file = try FileHandle(forReadingFrom: url)
            defer { try? file.close() }
            if most != nil { return try file.read(upToCount: size) ?? Data() }
            let beginning = try file.read(upToCount: 8) ?? Data()
            let length = beginning.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return beginning + (try file.read(upToCount: Int(min(length, UInt64(longestHeader)))) ?? Data())
        } catch {
            throw failure(error.localizedDescription)
        }
    }

    private static func malformed(_ what: String, path: String) -> TorchError {
        TorchError(.weights, "\(path) is no whole safetensors file: \(what)")
    }

    /// The header of a file, and the place after it.
    private static func header(of file: Data, path: String) throws -> ([String: Any], end: Int) {
        guard file.count >= 8 else { throw malformed("it has only \(file.count) bytes", path: path) }
        let length = file.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(longestHeader), Int(length) <= file.count - 8 else {
            throw malformed("the header is cut off", path: path)
        }
        let end = file.startIndex + 8 + Int(length)
        let json = file.subdata(in: file.startIndex + 8..<end)
        guard let header = try? JSONSerialization.jsonObject(with: json) as? [String: Any] else {
            throw malformed("the header is not JSON", path: path)
        }
        return (header, end)
    }

    private static func parse(_ file: Data, path: String) throws -> ([String: Entry], [String: String], Data) {
        func malformed(_ what: String) -> TorchError { self.malformed(what, path: path) }
        let (header, end) = try header(of: file, path: path)
        let values = file[end...]
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
