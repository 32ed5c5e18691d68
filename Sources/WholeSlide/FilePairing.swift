public import Failures
public import Foundation

/// Finds the file of a folder that belongs to a slide, by name.
///
/// A file belongs to slide `x.svs` where its stem is `x` or `x.svs`: `prediction-x`, `x.csv`, `x.svs.csv.gz`, `X.TXT` are
/// told apart from `x.1.csv`, which is another slide's. Only a UUID behind the stem, as TCGA's files have it, may be left
/// out. In folders within folders a file in the folder of the same name goes first. Two candidates are an error.
public struct FilePairing: Sendable {
    private let slide: SlideFile
    private let folder: URL

    public init(_ slide: SlideFile, in folder: URL) {
        self.slide = slide
        self.folder = folder
    }

    /// The slide's heatmap; nil where there is none.
    ///
    /// - Throws: ``SlideError`` of code `heatmap` that names both where there are two.
    public func heatmap() throws(SlideError) -> URL? {
        try find(
            "heatmap", .heatmap, endings: FilePairing.heatmapEndings,
            prefixes: ["prediction-", "heatmap_", ""]
        ) { !$0.lowercased().hasSuffix(".low_res") }
    }

    /// The colours that quip wrote beside the slide's heatmap.
    func colors() throws(SlideError) -> URL? {
        try find("file of colours", .heatmap, endings: [".gz", ".txt"], prefixes: ["color-"]) {
            !$0.lowercased().hasSuffix(".low_res")
        }
    }

    /// The slide's tissue mask or outlines.
    func tissue() throws(SlideError) -> URL? {
        try find("tissue mask", .tissue, endings: [".png", ".geojson", ".json", ".gz"], prefixes: [""]) { name in
            [".png", ".geojson", ".json", ".gz"].contains { name.lowercased().hasSuffix($0) }
        }
    }

    /// The slide's fine mask; `x.lymphocytes.png` and `x.mask.png` are `x`'s too.
    ///
    /// - Throws: ``SlideError`` of code `mask` that names both where there are two.
    public func fineMask() throws(SlideError) -> URL? {
        try find(
            "mask", .mask, endings: FilePairing.maskEndings + [".lymphocytes", ".mask"], prefixes: [""]
        ) { name in FilePairing.maskEndings.contains { name.lowercased().hasSuffix($0) } }
    }

    private static let heatmapEndings = [".gz", ".csv", ".tsv", ".txt", ".png", ".json"]
    private static let maskEndings = [".png", ".tif", ".tiff"]

    /// What was looked for, for a sentence.
    public var heatmapNames: String {
        "prediction-\(slide.name) or \(slide.name), with or without \(FilePairing.heatmapEndings.joined(separator: ", "))"
    }

    private func find(
        _ what: String, _ code: SlideError.Code, endings: [String], prefixes: [String], where isWanted: (String) -> Bool
    ) throws(SlideError) -> URL? {
        if !slide.subfolder.isEmpty {
            let inner = folder.appendingPathComponent(slide.subfolder)
            if let found = try find(what, code, in: inner, endings: endings, prefixes: prefixes, where: isWanted) {
                return found.file
            }
        }
        guard let found = try find(what, code, in: folder, endings: endings, prefixes: prefixes, where: isWanted) else {
            return nil
        }
        guard !slide.sharesName || found.isOfFile else {
            throw SlideError(
                code,
                "several slides are named \(slide.name), and \(found.file.path) may be of any of them: name it "
                    + "\(slide.fileName)\(found.file.pathExtension.isEmpty ? "" : ".\(found.file.pathExtension)"), or put "
                    + "\(what)s into folders named as the slides'")
        }
        return found.file
    }

    private func find(
        _ what: String, _ code: SlideError.Code, in folder: URL, endings: [String], prefixes: [String],
        where isWanted: (String) -> Bool
    ) throws(SlideError) -> (file: URL, isOfFile: Bool)? {
        var exact: [(file: URL, isOfFile: Bool)] = []
        var withoutUUID: [(file: URL, isOfFile: Bool)] = []
        for file in SlideFolder.files(in: folder) where isWanted(file.lastPathComponent) {
            let stems = FilePairing.stems(
                file.lastPathComponent.precomposedStringWithCanonicalMapping, endings: endings, prefixes: prefixes)
            if stems.contains(slide.fileName) {
                exact.append((file, true))
            } else if stems.contains(slide.name) {
                exact.append((file, false))
            } else if stems.contains(where: { FilePairing.withoutUUID($0) == FilePairing.withoutUUID(slide.name) }) {
                withoutUUID.append((file, false))
            }
        }
        // A file named after the whole file name says more than one named after the stem.
        let ofFile = exact.filter(\.isOfFile)
        let found = !ofFile.isEmpty ? ofFile : !exact.isEmpty ? exact : withoutUUID
        guard found.count < 2 else {
            throw SlideError(
                code,
                "slide \(slide.name) has several files that may be its \(what) in \(folder.path): "
                    + "\(found.map { $0.file.lastPathComponent }.joined(separator: " and ")): leave one")
        }
        return found.first
    }

    /// A file's name less a prefix, and what is left of it when its endings go one by one, whatever their case. FeatureMap's
    /// names carry a date behind the slide's.
    private static func stems(_ fileName: String, endings: [String], prefixes: [String]) -> [String] {
        var names = [fileName]
        var name = fileName
        while let ending = endings.first(where: { name.count > $0.count && name.lowercased().hasSuffix($0) }) {
            name.removeLast(ending.count)
            names.append(name)
        }
        if let date = name.range(of: "_[0-9]{2}-[0-9]{2}-[0-9]{4}$", options: .regularExpression) {
            names.append(String(name[..<date.lowerBound]))
        }
        return names.flatMap { name in
            prefixes.filter { name.hasPrefix($0) }.map { String(name.dropFirst($0.count)) }
        }
    }

    /// A name less a UUID at its end: `TCGA-CR-7395-01A-01-TS1.0a1b2c3d-…` is `TCGA-CR-7395-01A-01-TS1`.
    private static func withoutUUID(_ name: String) -> String {
        guard
            let range = name.range(
                of: "\\.[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", options: .regularExpression)
        else { return name }
        return String(name[..<range.lowerBound])
    }
}
