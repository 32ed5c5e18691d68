public import Failures
public import Foundation

/// Slides in folders.
public enum SlideFolder {
    /// File name extensions of the formats that OpenSlide reads, and DICOM, which version 4 does.
    public static let extensions: Set<String> = [
        "svs", "tif", "tiff", "ndpi", "mrxs", "scn", "svslide", "bif", "vms", "vmu", "dcm",
    ]

    /// What was found at some paths.
    public struct Contents: Sendable {
        /// Each once, in the order of the paths, folders by name.
        public var slides: [SlideFile] = []
        /// One for each path that does not exist or holds no slide.
        public var failures: [SlideError] = []
        /// Folders within the given ones in which slides were found.
        public var nestedFolders = 0
    }

    /// Folders within folders deeper than this are not looked into.
    private static let deepest = 32

    /// The slides that paths name: files as they are, folders with every slide file in them and in the folders within.
    ///
    /// Names that begin with a point are passed over, and so are the folders that are a slide's own data: of MIRAX's
    /// `x.mrxs` the folder `x`.
    public static func contents(of paths: [URL]) -> Contents {
        var contents = Contents()
        var seen = Set<String>()
        for path in paths {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder) else {
                contents.failures.append(SlideError(.unopenable, "no slide or folder at \(path.path)"))
                continue
            }
            guard isFolder.boolValue else {
                if seen.insert(path.resolvingSymlinksInPath().path).inserted { contents.slides.append(SlideFile(path)) }
                continue
            }
            var found: [SlideFile] = []
            var visited = Set<String>()
            collect(path, subfolder: "", depth: 0, visited: &visited, into: &found)
            if found.isEmpty {
                contents.failures.append(
                    SlideError(
                        .unopenable,
                        "folder \(path.path) holds no slides (files ending in .\(extensions.sorted().joined(separator: ", .")))"
                    ))
            }
            let fresh = found.filter { seen.insert($0.url.resolvingSymlinksInPath().path).inserted }
            contents.nestedFolders += Set(fresh.map(\.subfolder)).subtracting([""]).count
            contents.slides += fresh
        }
        let frequency = Dictionary(contents.slides.map { ($0.name, 1) }, uniquingKeysWith: +)
        for index in contents.slides.indices {
            contents.slides[index].sharesName = frequency[contents.slides[index].name, default: 1] > 1
        }
        return contents
    }

    private static func collect(
        _ folder: URL, subfolder: String, depth: Int, visited: inout Set<String>, into found: inout [SlideFile]
    ) {
        // A link may lead back up.
        guard depth <= deepest, visited.insert(folder.resolvingSymlinksInPath().path).inserted else { return }
        let entries = files(in: folder)
        let mirax = Set(
            entries.filter { $0.pathExtension.lowercased() == "mrxs" }
                .map { $0.deletingPathExtension().lastPathComponent })
        var folders: [URL] = []
        for entry in entries {
            var isFolder: ObjCBool = false
            // A link to nowhere is named by what opens it.
            _ = FileManager.default.fileExists(atPath: entry.path, isDirectory: &isFolder)
            if isFolder.boolValue {
                if !mirax.contains(entry.lastPathComponent) { folders.append(entry) }
            } else if extensions.contains(entry.pathExtension.lowercased()) {
                found.append(SlideFile(entry, subfolder: subfolder))
            }
        }
        for inner in folders {
            let name = inner.lastPathComponent.precomposedStringWithCanonicalMapping
            collect(
                inner, subfolder: subfolder.isEmpty ? name : "\(subfolder)/\(name)", depth: depth + 1,
                visited: &visited, into: &found)
        }
    }

    /// What is directly in a folder, by name, without what is hidden.
    static func files(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { !$0.hasPrefix(".") }.sorted().map { folder.appendingPathComponent($0) }
    }
}
