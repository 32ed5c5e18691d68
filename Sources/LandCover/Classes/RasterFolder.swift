public import BatchWork
public import Failures
public import Foundation

/// Rasters on disk: one file, or the files of a folder by name.
public struct RasterFolder: Sendable {
    /// Endings of files that are taken for rasters.
    private static let endings: Set<String> = ["tif", "tiff", "vrt", "img", "jp2", "png"]

    public let url: URL
    /// In the order of their names.
    public let files: [URL]
    /// By name without ending; of equals the first.
    private let byStem: [String: URL]

    /// - Parameter url: a file, or a folder; folders within are not looked into.
    /// - Throws: ``InputError`` where there is nothing.
    public init(_ url: URL) throws(InputError) {
        self.url = url
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw InputError(.unusable, "cannot open \(url.path): no such file or folder")
        }
        guard isFolder.boolValue else {
            files = [url]
            byStem = [:]
            return
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []
        files = names.filter { name in
            !name.hasPrefix(".") && RasterFolder.endings.contains((name as NSString).pathExtension.lowercased())
        }.sorted().map { url.appendingPathComponent($0) }
        byStem = Dictionary(files.map { (RasterFolder.stem($0), $0) }, uniquingKeysWith: { first, _ in first })
        guard !files.isEmpty else { throw InputError(.unusable, "there is no raster in \(url.path)") }
    }

    /// The raster that belongs to an image: the file that was given, or the one of its name in the folder.
    ///
    /// - Parameter name: of the image, without its ending.
    /// - Throws: ``InputError`` where there is none.
    public func partner(of name: String) throws(InputError) -> URL {
        guard let found = partnerIfThere(of: name) else {
            throw InputError(.unusable, "there is no raster named '\(name)' in \(url.path)")
        }
        return found
    }

    /// The raster that belongs to an image; nil where there is none.
    func partnerIfThere(of name: String) -> URL? {
        files == [url] ? url : byStem[name]
    }

    /// A file's name without its ending.
    public static func stem(_ url: URL) -> String { url.deletingPathExtension().lastPathComponent }
}
