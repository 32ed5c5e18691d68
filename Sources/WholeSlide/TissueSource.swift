public import Foundation
internal import Raster

/// How it is known where a slide's tissue is.
public enum TissueSource: Equatable, Sendable {
    /// By optical density.
    case automatic
    /// The whole slide is worked on.
    case everywhere
    /// A PNG over the whole slide, in which 0 is background, or QuPath's GeoJSON; or a folder of such, by slide name.
    case outlines(URL)

    /// From a command line: `auto`, `none`, or a path.
    public init(_ text: String) {
        switch text {
        case "auto": self = .automatic
        case "none": self = .everywhere
        default: self = .outlines(URL(fileURLWithPath: text))
        }
    }

    /// The source for one slide: a folder's file of the slide's name.
    ///
    /// - Throws: ``SlideError`` where there is none.
    public func resolved(forSlideNamed name: String) throws(SlideError) -> TissueSource {
        guard case .outlines(let url) = self else { return self }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw SlideError(
                .tissue, "there is no tissue mask at \(url.path): give auto, none, a PNG or a GeoJSON file")
        }
        guard isFolder.boolValue else { return self }
        for ending in ["png", "geojson", "json"] {
            let file = url.appendingPathComponent("\(name).\(ending)")
            if FileManager.default.fileExists(atPath: file.path) { return .outlines(file) }
        }
        throw SlideError(.tissue, "\(url.path) has no \(name).png or \(name).geojson: slide \(name) has no tissue mask")
    }
}

/// Tissue masks drawn by hand or by another program.
enum TissueOutlines {
    static func mask(_ file: URL, slide: Slide, frame: WorkingFrame) throws(SlideError) -> Plane<Bool> {
        file.pathExtension.lowercased() == "png"
            ? try picture(file, slide: slide, frame: frame) : try polygons(file, slide: slide, frame: frame)
    }

    private static func picture(_ file: URL, slide: Slide, frame: WorkingFrame) throws(SlideError) -> Plane<Bool> {
        let picture: Plane<UInt8>
        do {
            picture = try PNG.readGray(file)
        } catch {
            throw SlideError(.tissue, "cannot use the tissue mask \(file.path)", cause: "\(error)")
        }
        let (wide, high) = (
            Double(slide.width) / Double(picture.width), Double(slide.height) / Double(picture.height)
        )
        // Each side may be rounded to a whole pixel of the mask.
        guard abs(wide / high - 1) <= 0.02 + 1 / Double(min(picture.width, picture.height)) else {
            throw SlideError(
                .tissue,
                "tissue mask \(file.path) of \(picture.width)×\(picture.height) px does not have the shape of slide "
                    + "\(slide.name) of \(slide.width)×\(slide.height) px")
        }
        var mask = Plane(width: frame.width, height: frame.height, repeating: false)
        for y in 0..<mask.height {
            let row = min(picture.height - 1, Int(frame.level0(Double(y) + 0.5) / high))
            for x in 0..<mask.width {
                mask[x, y] = picture[min(picture.width - 1, Int(frame.level0(Double(x) + 0.5) / wide)), row] > 0
            }
        }
        return mask
    }

    private struct Point {
        let x: Double
        let y: Double
    }

    private static func polygons(_ file: URL, slide: Slide, frame: WorkingFrame) throws(SlideError) -> Plane<Bool> {
        func malformed(_ what: String) -> SlideError {
            SlideError(.tissue, "cannot use the tissue outlines \(file.path): \(what)")
        }
        let data = Data(try TextFile.read(file))
        guard let json = try? JSONSerialization.jsonObject(with: data) else { throw malformed("it is no JSON") }
        // QuPath crops a slide to its bounds and counts from their corner.
        let (left, top) = slide.boundsOrigin
        var rings: [[[Point]]] = []
        func ring(_ value: Any) -> [Point]? {
            (value as? [[Any]])?.compactMap { pair in
                guard pair.count >= 2, let x = (pair[0] as? NSNumber)?.doubleValue,
                    let y = (pair[1] as? NSNumber)?.doubleValue, abs(x) < 1e9, abs(y) < 1e9
                else { return nil }
                return Point(x: frame.working(x + left), y: frame.working(y + top))
            }
        }
        func collect(_ value: Any) {
            guard let object = value as? [String: Any], let type = object["type"] as? String else { return }
            switch type {
            case "FeatureCollection": (object["features"] as? [Any])?.forEach(collect)
            case "Feature": object["geometry"].map(collect)
            case "GeometryCollection": (object["geometries"] as? [Any])?.forEach(collect)
            case "Polygon": (object["coordinates"] as? [Any]).map { rings.append($0.compactMap(ring)) }
            case "MultiPolygon":
                (object["coordinates"] as? [[Any]])?.forEach { rings.append($0.compactMap(ring)) }
            default: break
            }
        }
        if let list = json as? [Any] { list.forEach(collect) } else { collect(json) }
        guard rings.contains(where: { $0.contains { $0.count >= 3 } }) else { throw malformed("it has no polygon") }
        var mask = Plane(width: frame.width, height: frame.height, repeating: false)
        for polygon in rings { fill(polygon, in: &mask) }
        return mask
    }

    /// Even-odd: rings within rings are holes.
    private static func fill(_ polygon: [[Point]], in mask: inout Plane<Bool>) {
        let points = polygon.joined()
        guard let lowest = points.map(\.y).min(), let highest = points.map(\.y).max() else { return }
        let rows = max(0, Int(lowest.rounded(.down)))..<max(0, min(mask.height, Int(highest.rounded(.up)) + 1))
        guard !rows.isEmpty else { return }
        for y in rows {
            let middle = Double(y) + 0.5
            var crossings: [Double] = []
            for ring in polygon where ring.count >= 3 {
                for (a, b) in zip(ring, ring.dropFirst() + [ring[0]]) where (a.y <= middle) != (b.y <= middle) {
                    crossings.append(a.x + (middle - a.y) / (b.y - a.y) * (b.x - a.x))
                }
            }
            crossings.sort()
            for pair in stride(from: 0, to: crossings.count - 1, by: 2) {
                let first = max(0, Int((crossings[pair] - 0.5).rounded(.up)))
                let last = min(mask.width - 1, Int((crossings[pair + 1] - 0.5).rounded(.down)))
                if first <= last { for x in first...last { mask[x, y] = true } }
            }
        }
    }
}

extension Slide {
    /// The corner of the scanned area where the file gives one (MIRAX, Hamamatsu, Leica), level-0 px; QuPath counts from it.
    public var boundsOrigin: (x: Double, y: Double) {
        func number(_ name: String) -> Double {
            properties["openslide.bounds-\(name)"].flatMap(Double.init).flatMap { $0.isFinite ? $0 : nil } ?? 0
        }
        return (number("x"), number("y"))
    }
}
