public import Foundation

/// Slides and heatmaps in folders.
public enum SlideFolder {
    /// File name extensions of the formats that OpenSlide reads, and DICOM, which version 4 does.
    public static let extensions: Set<String> = [
        "svs", "tif", "tiff", "ndpi", "mrxs", "scn", "svslide", "bif", "vms", "vmu", "dcm",
    ]

    /// The slides that paths name, each once: files as they are, folders with every slide file directly in them, by name.
    ///
    /// - Returns: the slides, and an error for each path that does not exist or holds no slide.
    public static func slides(at paths: [URL]) -> (slides: [URL], failures: [SlideError]) {
        var result: [URL] = []
        var failures: [SlideError] = []
        for path in paths {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder) else {
                failures.append(SlideError(.unopenable, "no slide or folder at \(path.path)"))
                continue
            }
            guard isFolder.boolValue else {
                result.append(path)
                continue
            }
            let found = files(in: path).filter { extensions.contains($0.pathExtension.lowercased()) }
            if found.isEmpty {
                failures.append(
                    SlideError(
                        .unopenable,
                        "folder \(path.path) holds no slides (files ending in .\(extensions.sorted().joined(separator: ", ."))"
                    ))
            }
            result += found
        }
        var seen = Set<String>()
        return (result.filter { seen.insert($0.resolvingSymlinksInPath().path).inserted }, failures)
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

    /// The colours that quip wrote beside a slide's heatmap.
    static func colors(forSlideNamed name: String, in folder: URL) -> URL? {
        let short = name.split(separator: ".").first.map(String.init) ?? name
        return files(in: folder).first { file in
            stems(file.lastPathComponent).contains { $0 == "color-\(name)" || $0 == "color-\(short)" }
        }
    }

    /// A file name, and what is left of it without its endings. FeatureMap's names carry a date behind the slide's.
    private static func stems(_ fileName: String) -> [String] {
        var stems = [fileName]
        var name = fileName
        for ending in [".gz", ".csv", ".txt", ".png", ".json"] where name.hasSuffix(ending) {
            name.removeLast(ending.count)
            stems.append(name)
        }
        if let date = name.range(of: "_[0-9]{2}-[0-9]{2}-[0-9]{4}$", options: .regularExpression) {
            stems.append(String(name[..<date.lowerBound]))
        }
        if name.hasPrefix("heatmap_") { stems.append(String(name.dropFirst("heatmap_".count))) }
        return stems
    }

    private static func files(in folder: URL) -> [URL] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { !$0.hasPrefix(".") }.sorted().map { folder.appendingPathComponent($0) }
    }
}
