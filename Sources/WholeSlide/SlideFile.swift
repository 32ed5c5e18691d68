public import Foundation

/// A slide's file and the names by which other files belong to it.
public struct SlideFile: Hashable, Sendable {
    public let url: URL
    /// The folders between the folder that was searched and the file, `a/b`; empty where it lies in that folder itself.
    public let subfolder: String
    /// Whether another slide of the same batch has the same ``name``; then a stem alone does not say which one is meant.
    public var sharesName = false

    public init(_ url: URL, subfolder: String = "") {
        self.url = url
        self.subfolder = subfolder
    }

    /// The file's name without its extension, in Unicode's composed form: the name under which results refer to the slide.
    public var name: String { SlideFile.name(of: url) }

    /// The file's name, composed.
    public var fileName: String { url.lastPathComponent.precomposedStringWithCanonicalMapping }

    /// The path within the folder that was searched, composed; it tells slides of one name apart.
    public var relativePath: String { subfolder.isEmpty ? fileName : "\(subfolder)/\(fileName)" }

    /// How people are told of the slide: its name, with folder and extension where another one has the same.
    public var title: String { sharesName ? relativePath : name }

    /// A file's name without its extension, composed: file systems keep "é" as one character or as two, and both are one name.
    public static func name(of url: URL) -> String {
        url.deletingPathExtension().lastPathComponent.precomposedStringWithCanonicalMapping
    }
}

extension SlideFile {
    /// Which file lies at the path, whatever it holds; nil where none does.
    public var place: String? { FileStamp(url).map { "\($0.device)-\($0.inode)" } }

    /// What the file system says of the file by now, as text; it changes when the file does. nil where it is gone.
    public var stamp: String? {
        FileStamp(url).map { "\($0.device)-\($0.inode)-\($0.size)-\($0.modified)" }
    }
}
