public import Failures
public import Foundation
internal import Raster
public import Torch

/// A folder with a trained model: `weights.safetensors`, `model.json`, and while training `checkpoint.safetensors`,
/// `metrics.csv` and `previews/`.
public struct ModelFolder: Sendable {
    public let url: URL

    public init(_ url: URL) {
        self.url = url
    }

    public var weights: URL { url.appendingPathComponent("weights.safetensors") }
    public var description: URL { url.appendingPathComponent("model.json") }
    public var checkpoint: URL { url.appendingPathComponent("checkpoint.safetensors") }
    public var metrics: URL { url.appendingPathComponent("metrics.csv") }
    public var previews: URL { url.appendingPathComponent("previews", isDirectory: true) }

    /// Makes the folder and checks that it can be written to.
    ///
    /// - Throws: ``MethodError`` where it cannot.
    public func create() throws {
        do {
            try FileManager.default.createDirectory(at: previews, withIntermediateDirectories: true)
        } catch {
            throw MethodError(
                .model, "cannot make the model folder \(url.path): \(FileFailure.reason(error))", cause: error)
        }
        guard FileManager.default.isWritableFile(atPath: url.path) else {
            throw MethodError(.model, "cannot write to the model folder \(url.path): permission denied")
        }
    }

    /// The bytes of `model.json`.
    public func descriptionData() throws(MethodError) -> Data {
        do {
            return try FileData.read(description, mostBytes: ModelFolder.mostDescriptionBytes)
        } catch {
            throw MethodError(.model, error.message, cause: error)
        }
    }

    /// A description takes a few kilobytes.
    private static let mostDescriptionBytes = 4 << 20

    /// The version of the layout of `model.json`.
    public static let format = 4

    /// Writes `model.json`, which makes the folder a model: it comes last.
    public func write(_ description: ModelDescription<some ModelSettings>) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try AtomicFile.write(try encoder.encode(description), to: self.description)
    }

    /// Reads `model.json`.
    ///
    /// - Throws: ``MethodError`` where it is missing, malformed, of a newer format or of another application.
    public func readDescription<Settings>(
        _ settings: Settings.Type = Settings.self
    ) throws(MethodError) -> ModelDescription<Settings> {
        guard FileManager.default.fileExists(atPath: description.path) else {
            let begun = FileManager.default.fileExists(atPath: checkpoint.path)
            throw MethodError(
                .model,
                "\(url.path) is no finished model: model.json is missing"
                    + (begun ? "; its training was interrupted: go on with --resume" : ""))
        }
        let data = try currentData(of: try descriptionData(), settings: settings)
        let model: ModelDescription<Settings>
        do {
            model = try JSONDecoder().decode(ModelDescription<Settings>.self, from: data)
        } catch {
            throw MethodError(.model, "\(description.path) \(ModelFolder.reason(error))", cause: error)
        }
        if let unknown = ModelFolder.unknownKey(data, of: settings) {
            throw MethodError(
                .model, "\(description.path) is no model description of this version: '\(unknown)' is not known")
        }
        try check(model)
        return model
    }

    private struct Header: Decodable {
        let format: Int
        let application: String?
    }

    /// The description in today's layout.
    private func currentData<Settings: ModelSettings>(
        of data: Data, settings: Settings.Type
    ) throws(MethodError) -> Data {
        guard let header = try? JSONDecoder().decode(Header.self, from: data) else { return data }
        guard header.format <= ModelFolder.format else {
            throw MethodError(
                .model,
                "\(description.path) has format \(header.format), newer than this program's \(ModelFolder.format)")
        }
        if header.format < ModelFolder.format {
            let old = (try? JSONSerialization.jsonObject(with: data) as? [String: Any]) ?? [:]
            guard let upgraded = settings.upgraded(old, from: header.format),
                let current = try? JSONSerialization.data(withJSONObject: upgraded)
            else {
                throw MethodError(
                    .model,
                    "\(description.path) was written by an older version (format \(header.format)): train it again")
            }
            return current
        }
        guard header.application == nil || header.application == settings.application else {
            throw MethodError(
                .model,
                "\(description.path) is a model for '\(header.application ?? "")', not for '\(settings.application)'")
        }
        return data
    }

    /// Refuses what no network can be.
    private func check(_ model: ModelDescription<some ModelSettings>) throws(MethodError) {
        let checks: [(key: String, isPossible: Bool)] = [
            ("architecture", model.architecture.isPossible), ("members", (1...64).contains(model.members)),
            ("temperature", model.temperature > 0.01 && model.temperature < 100),
            ("threshold", model.threshold.map { $0 > 0 && $0 < 1 } ?? true),
            ("coarseClasses", model.coarseClasses.count == model.priors.classCount),
            ("labels", model.labels.count == model.architecture.labels && model.priors.labels == model.labels),
        ]
        let wrong = checks.first { !$0.isPossible }.map { "'\($0.key)' has an impossible value" }
        if let flaw = wrong ?? model.settings.flaw(for: model.architecture) {
            throw MethodError(.model, "\(description.path) describes an impossible network: \(flaw)")
        }
        try model.priors.validate(description.path)
        for quantization in model.quantizations ?? [] {
            guard quantization.isPossible(for: model.architecture) else {
                throw MethodError(
                    .model,
                    "\(description.path) has impossible limits for inference in bytes: train it again, or remove 'quantizations' to compute in 32 bits"
                )
            }
        }
        guard model.quantizations.map({ $0.count == model.members }) ?? true else {
            throw MethodError(
                .model, "\(description.path) does not have limits for inference in bytes for each network")
        }
    }

    /// A key that is none of a description: a misspelt one would be taken for one that is left out.
    private static func unknownKey<Settings>(_ data: Data, of settings: Settings.Type) -> String?
    where Settings: ModelSettings {
        let keys = (try? JSONSerialization.jsonObject(with: data) as? [String: Any])?.keys.sorted() ?? []
        return keys.first { ModelDescription<Settings>.CodingKeys(stringValue: $0) == nil }
    }

    /// What is wrong with a description, by the key that is.
    private static func reason(_ error: any Error) -> String {
        func name(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
        switch error as? DecodingError {
        case .keyNotFound(let key, let context):
            return "is no model description: '\(name(context.codingPath + [key]))' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "is no model description: '\(name(context.codingPath))' has a value of another kind"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            return "is no model description: '\(name(context.codingPath))' has an impossible value"
        default: return "is cut off, or no JSON"
        }
    }

    /// Loads the network for inference.
    ///
    /// - Throws: ``MethodError`` or ``TorchError`` where files are missing, cut off or of another architecture, or where
    ///   bytes are asked for and the model has no scales for them.
    public func load<Settings>(
        _ settings: Settings.Type = Settings.self, device: Device = .cpu, engine: InferenceEngine = .automatic
    ) throws -> (network: any SegmentationNetwork, description: ModelDescription<Settings>) {
        let description = try readDescription(settings)
        let members = try (0..<description.members).map { _ in try UNet(description.architecture, seed: 0) }
        try Safetensors.read(weights, into: ModelFolder.named(members))
        let quantizations = description.quantizations
        let network: any SegmentationNetwork
        switch engine.chosen(device: device, quantizations: quantizations) {
        case .libtorch, .automatic:
            let placed = try device == .cpu ? members : members.map { try $0.copied(to: device) }
            network = TorchSegmentationNetwork(placed, temperature: description.temperature, device: device)
        case .oneDNN(.float32):
            network = try OneDNNSegmentationNetwork(members, temperature: description.temperature)
        case .oneDNN(.int8):
            guard let quantizations else {
                throw MethodError(
                    .model, "\(url.path) has no scales for inference in bytes: train it again, or use --precision fp32")
            }
            network = try OneDNNSegmentationNetwork(
                members, temperature: description.temperature, quantizations: quantizations)
        }
        return (network, description)
    }

    /// Folder in which a member of an ensemble is trained, 1, 2, …
    public func member(_ number: Int) -> ModelFolder {
        ModelFolder(url.appendingPathComponent("members/\(number)", isDirectory: true))
    }

    /// The trained networks of this folder; those of several members are joined into one weights file first.
    public func networks(members count: Int, architecture: UNetArchitecture) throws -> [UNet] {
        func network(_ folder: ModelFolder) throws -> UNet {
            let network = try UNet(architecture, seed: 0)
            try Safetensors.read(folder.weights, into: network.tensors)
            return network
        }
        guard count > 1 else { return [try network(self)] }
        let members = try (1...count).map { try network(member($0)) }
        try Safetensors.write(ModelFolder.named(members), metadata: ["format": "pt"], to: weights)
        return members
    }

    /// Tensor names are those of a single network, or `member.1.…` and so on.
    private static func named(_ members: [UNet]) -> [NamedTensor] {
        guard members.count > 1 else { return members.flatMap(\.tensors) }
        return members.enumerated().flatMap { index, network in
            network.tensors.map {
                NamedTensor(name: "member.\(index + 1).\($0.name)", tensor: $0.tensor, isTrained: $0.isTrained)
            }
        }
    }

    /// A short name for the model that changes with its weights and with its description: another temperature or threshold is
    /// another model.
    public func fingerprint() throws -> String {
        var fingerprint = Fingerprint()
        try Data(contentsOf: weights).withUnsafeBytes { fingerprint.add($0) }
        try descriptionData().withUnsafeBytes { fingerprint.add($0) }
        return fingerprint.text
    }
}
