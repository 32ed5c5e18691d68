public import Foundation

/// Slides and heatmaps in folders.
public enum SlideFolder {
    /// File name extensions of the formats that OpenSlide reads, and DICOM, which version 4 does.
    public static let extensions: Set<String> = [
        "svs", "tif", "tiff", "ndpi", "mrxs", "scn", "svslide", "bif", "vms", "vmu", "dcm",
    ]

    /// The slides that paths name: files as they are, folders with every slide file directly in them, by name.
    ///
    /// - Throws: ``SlideError`` where a path does not exist or a folder holds no slide.
    public static func slides(at paths: [URL]) throws(SlideError) -> [URL] {
        var result: [URL] = []
        for path in paths {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder) else {
                throw SlideError(.unopenable, "no slide or folder at \(path.path)")
            }
            guard isFolder.boolValue else {
                result.append(path)
                continue
            }
            let found = files(in: path).filter { extensions.contains($0.pathExtension.lowercased()) }
            guard !found.isEmpty else {
                throw SlideError(
                    .unopenable,
                    "folder \(path.path) holds no slides (files ending in .\(extensions.sorted().joined(separator: ", ."))"
                )
            }
            result += found
        }
        return result
    }

    /// The heatmap of a slide: the file whose stem is the slide's, with or without the prefix `prediction-`.
    public static func heatmap(forSlideNamed name: String, in folder: URL) -> URL? {
        // TCGA files carry a UUID after the first dot, which heatmaps leave out.
        let short = name.split(separator: ".").first.map(String.init) ?? name
        let candidates = [name, short].flatMap { ["prediction-\($0)", $0] }
        let found = files(in: folder).filter { !$0.lastPathComponent.hasSuffix(".low_res") }
        for candidate in candidates {
            for file in found where stems(file.lastPathComponent).contains(candidate) { return file }
        }
        return nil
    }

    /// A file name, and what is left of it without `.gz`, `.csv` and `.txt`.
    private static func stems(_ fileName: String) -> [String] {
        var stems = [fileName]
        var name = fileName
        for ending in [".gz", ".csv", ".txt"] where name.hasSuffix(ending) {
            name.removeLast(ending.count)
            stems.append(name)
        }
        return stems
    }

    private static func files(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { !$0.hasPrefix(".") }.sorted().map { folder.appendingPathComponent($0) }
    }
}
