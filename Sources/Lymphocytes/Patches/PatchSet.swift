internal import BatchWork
internal import Failures
public import Foundation
package import Raster
internal import WholeSlide
internal import Tables

/// A patch classification set: small images around a nucleus, labelled as lymphocyte or not.
public struct PatchSet: Sendable {
    /// One image of the set.
    public struct Patch: Sendable {
        /// Name within the set's folder.
        public let file: String
        public let label: String
        public let isLymphocyte: Bool
        /// µm per pixel.
        public let micronsPerPixel: Double
        /// Where the patch was cut from, if the set says so.
        public let source: String?
    }

    public let folder: URL
    public let patches: [Patch]
    /// Files in folders by class that are no pictures that are read, within the set's folder.
    public let others: [String]

    public var name: String { folder.lastPathComponent }

    /// Labels that mean lymphocyte, in lower case.
    public static let positiveLabels: Set<String> = [
        "lymphocyte", "lymphocytes", "til", "tils", "inflammatory", "positive", "pos", "1", "true", "yes",
    ]
    /// Sizes of a pixel that a patch may have, µm: beyond them it would be blown up or shrunk to nothing.
    private static let scales = 0.02...4.0
    /// Of the files that are patches in folders by class.
    private static let imageExtensions: Set<String> = ["jpg", "jpeg", "png", "tif", "tiff"]
    /// A patch shows one nucleus and its surroundings; a picture of more pixels is something else.
    private static let mostPixels = 1 << 24

    /// Reads `labels.csv` (file, label, mpp), or one subfolder per class.
    ///
    /// - Parameter givenScale: µm per pixel where the set does not say it.
    /// - Throws: ``SlideError`` or ``InputError`` where the folder is no patch set.
    public init(_ folder: URL, givenScale: Double?) throws {
        self.folder = folder
        let table = folder.appendingPathComponent("labels.csv")
        if FileManager.default.fileExists(atPath: table.path) {
            patches = try PatchSet.read(table, givenScale: givenScale)
            others = []
        } else {
            (patches, others) = try PatchSet.readFolders(folder, givenScale: givenScale)
        }
        try PatchSet.check(patches, folder: folder)
        guard patches.contains(where: \.isLymphocyte), patches.contains(where: { !$0.isLymphocyte }) else {
            throw InputError(
                .unusable,
                "patch set \(folder.path) needs lymphocytes and others; labels that mean lymphocyte: "
                    + PatchSet.positiveLabels.sorted().joined(separator: ", "))
        }
    }

    /// How many patches have each label.
    public var labels: [(label: String, count: Int, isLymphocyte: Bool)] {
        Dictionary(grouping: patches, by: \.label).map { ($0.key, $0.value.count, $0.value[0].isLymphocyte) }
            .sorted { $0.label < $1.label }
    }

    /// A label that is a number is 0 or 1, however it is written.
    private static func isPositive(_ label: String) -> Bool {
        if let number = Double(label) { return number == 1 }
        return positiveLabels.contains(label.lowercased())
    }

    private static func check(_ patches: [Patch], folder: URL) throws(InputError) {
        let numbers = Set(patches.map(\.label).filter { Double($0) != nil })
        if let unknown = numbers.sorted().first(where: { ![0, 1].contains(Double($0)) }) {
            throw InputError(
                .unusable,
                "patch set \(folder.path) has the label \(unknown): numbers are 0 (other) and 1 (lymphocyte); else use names"
            )
        }
        var seen = Set<String>()
        for patch in patches where !seen.insert(patch.file).inserted {
            throw InputError(.unusable, "patch set \(folder.path) lists \(patch.file) twice")
        }
    }

    private static func read(_ url: URL, givenScale: Double?) throws -> [Patch] {
        var patches: [Patch] = []
        try CSVTable.read(url, requiring: ["file", "label"]) { row in
            let scale: Double
            if let givenScale {
                scale = givenScale
            } else if row.has("mpp") {
                scale = try row.number("mpp")
            } else {
                throw InputError(.unusable, "\(url.path) has no column 'mpp': give µm per pixel with --mpp")
            }
            guard scales.contains(scale) else {
                throw InputError(.unusable, "\(url.path) line \(row.line): \(scale) is no size of a pixel in µm")
            }
            // A blank behind a label is no other label.
            let label = try row.text("label").trimmingCharacters(in: .whitespaces)
            let file = try row.text("file").trimmingCharacters(in: .whitespaces)
            guard !file.isEmpty, !label.isEmpty else {
                throw InputError(.unusable, "\(url.path) line \(row.line): file or label is missing")
            }
            guard !file.hasPrefix("/"), !file.split(separator: "/").contains("..") else {
                throw InputError(.unusable, "\(url.path) line \(row.line): '\(file)' lies outside the patch set")
            }
            patches.append(
                Patch(
                    file: file, label: label, isLymphocyte: isPositive(label),
                    micronsPerPixel: scale,
                    source: row.has("slide")
                        ? try row.text("slide") : row.has("source") ? try row.text("source") : nil))
        }
        return patches
    }

    private static func readFolders(
        _ folder: URL, givenScale: Double?
    ) throws -> (patches: [Patch], others: [String]) {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path) else {
            throw InputError(.unusable, "there is no patch set at \(folder.path)")
        }
        var patches: [(String, String)] = []
        var others: [String] = []
        for label in names.sorted() where !label.hasPrefix(".") {
            let files =
                (try? FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(label).path)) ?? []
            for file in files.sorted() where !file.hasPrefix(".") {
                if imageExtensions.contains((file as NSString).pathExtension.lowercased()) {
                    patches.append((label, "\(label)/\(file)"))
                } else {
                    others.append("\(label)/\(file)")
                }
            }
        }
        guard !patches.isEmpty else {
            throw InputError(
                .unusable, "\(folder.path) is no patch set: it has neither labels.csv nor one folder per class")
        }
        guard let givenScale, scales.contains(givenScale) else {
            throw InputError(.unusable, "patch set \(folder.path) does not say how large its pixels are: give --mpp")
        }
        let read = patches.map {
            Patch(
                file: $1, label: $0,
                isLymphocyte: isPositive($0.trimmingCharacters(in: .whitespaces)),
                micronsPerPixel: givenScale, source: nil)
        }
        return (read, others)
    }

    /// The slides among `names` that the set seems to be cut from: named by its source column, or by the folder.
    public func slides(among names: [String]) -> [String] {
        let sources = Set(patches.compactMap { $0.source.map { String($0.prefix { $0 != "#" }) } })
        return names.filter {
            sources.contains($0) || name == $0 || name.hasPrefix("\($0)-") || name.hasPrefix("\($0)_")
        }
    }

    /// The pixels of a patch on the working grid, the patch's middle in the middle.
    package func image(of patch: Patch, workingMicronsPerPixel: Double) throws -> RGBImage {
        let url = folder.appendingPathComponent(patch.file)
        let most = PatchSet.mostPixels
        let image =
            switch url.pathExtension.lowercased() {
            case "png": try PNG.readRGB(url, mostPixels: most)
            case "tif", "tiff": try TIFF.readRGB(url, mostPixels: most)
            default: try JPEG.readRGB(url, mostPixels: most)
            }
        let scale = workingMicronsPerPixel / patch.micronsPerPixel
        guard abs(scale - 1) > 0.01 else { return image }
        let width = Int(Double(image.width) / scale)
        let height = Int(Double(image.height) / scale)
        guard width > 0, height > 0 else {
            throw InputError(.unusable, "patch \(url.path) is smaller than one pixel at \(workingMicronsPerPixel) µm")
        }
        let resampling = AreaResampling(scale: scale)
        let columns = resampling.finePixels(start: 0, count: width)
        let rows = resampling.finePixels(start: 0, count: height)
        return resampling.resampled(
            image.cropped(x: 0, y: 0, width: columns.count, height: rows.count), x: 0, y: 0, width: width,
            height: height)
    }
}
