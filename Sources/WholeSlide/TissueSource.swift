public import Failures
public import Foundation
internal import Raster
internal import Tables

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

    /// The source for one slide: of a folder the slide's file.
    ///
    /// - Throws: ``SlideError`` where there is none, or more than one.
    public func resolved(for slide: SlideFile) throws(SlideError) -> TissueSource {
        guard case .outlines(let url) = self else { return self }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
            throw SlideError(
                .tissue, "there is no tissue mask at \(url.path): give auto, none, a PNG or a GeoJSON file")
        }
        guard isFolder.boolValue else { return self }
        guard let file = try FilePairing(slide, in: url).tissue() else {
            throw SlideError(
                .tissue,
                "\(url.path) has no \(slide.name).png or \(slide.name).geojson: slide \(slide.name) has no tissue mask")
        }
        return .outlines(file)
    }
}

/// Tissue masks drawn by hand or by another program.
enum TissueOutlines {
    /// What a file says: outlines, or a mask of pixels.
    enum Drawing {
        case area(OutlinedArea)
        case mask(Plane<Bool>)
    }

    /// - Parameter frame: the grid of a mask.
    /// - Throws: ``SlideError`` where the file is malformed, of another slide, or covers nothing of this one.
    static func drawing(_ file: URL, slide: Slide, frame: WorkingFrame) throws(SlideError) -> Drawing {
        func nothing() -> SlideError {
            SlideError(
                .tissue,
                "the tissue of \(file.path) covers nothing of slide \(slide.name) of \(slide.width)×\(slide.height) px")
        }
        if try asSlideError({ try TextFile.beginning(of: file, count: 4) }).starts(with: [0x89, 0x50, 0x4e, 0x47]) {
            let mask = try picture(file, slide: slide, frame: frame)
            guard mask.values.contains(true) else { throw nothing() }
            return .mask(mask)
        }
        let area = OutlinedArea(try polygons(file, slide: slide), width: slide.width, height: slide.height)
        guard area.area(x: 0, y: 0, width: Double(slide.width), height: Double(slide.height)) > 0 else {
            throw nothing()
        }
        return .area(area)
    }

    /// A level-0 mask of a large slide; a byte a pixel.
    private static let mostPixels = 1 << 28

    private static func picture(_ file: URL, slide: Slide, frame: WorkingFrame) throws(SlideError) -> Plane<Bool> {
        let picture: Plane<UInt8>
        do {
            picture = try PNG.readLargest(file, mostPixels: mostPixels)
        } catch {
            throw SlideError(.tissue, "cannot use the tissue mask \(file.path)", detail: "\(error)", cause: error)
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

    private static func polygons(_ file: URL, slide: Slide) throws(SlideError) -> [[[OutlinedArea.Point]]] {
        func malformed(_ what: String) -> SlideError {
            SlideError(.tissue, "cannot use the tissue outlines \(file.path): \(what)")
        }
        guard let json = try? JSONSerialization.jsonObject(with: Data(try asSlideError { try TextFile.read(file) }))
        else {
            throw malformed("it is no JSON")
        }
        // QuPath crops a slide to its bounds and counts from their corner.
        let (left, top) = slide.boundsOrigin
        func ring(_ value: Any) throws(SlideError) -> [OutlinedArea.Point] {
            guard let pairs = value as? [Any], pairs.count >= 3 else {
                throw malformed("a ring has fewer than three corners")
            }
            var points: [OutlinedArea.Point] = []
            for pair in pairs {
                guard let pair = pair as? [Any], pair.count >= 2, let x = (pair[0] as? NSNumber)?.doubleValue,
                    let y = (pair[1] as? NSNumber)?.doubleValue, abs(x) < 1e9, abs(y) < 1e9
                else { throw malformed("a corner is no pair of numbers on a slide") }
                points.append(OutlinedArea.Point(x: x + left, y: y + top))
            }
            return points
        }
        var polygons: [[[OutlinedArea.Point]]] = []
        var others = Set<String>()
        func rings(_ value: Any?) throws(SlideError) {
            guard let list = value as? [Any], !list.isEmpty else { throw malformed("a polygon has no rings") }
            var polygon: [[OutlinedArea.Point]] = []
            for item in list { polygon.append(try ring(item)) }
            polygons.append(polygon)
        }
        func collect(_ value: Any, depth: Int) throws(SlideError) {
            guard depth < 32, let object = value as? [String: Any], let type = object["type"] as? String else {
                throw malformed("it is no GeoJSON")
            }
            switch type {
            case "FeatureCollection":
                for item in object["features"] as? [Any] ?? [] { try collect(item, depth: depth + 1) }
            case "Feature":
                if let geometry = object["geometry"], !(geometry is NSNull) { try collect(geometry, depth: depth + 1) }
            case "GeometryCollection":
                for item in object["geometries"] as? [Any] ?? [] { try collect(item, depth: depth + 1) }
            case "Polygon": try rings(object["coordinates"])
            case "MultiPolygon":
                guard let list = object["coordinates"] as? [Any] else { throw malformed("a polygon has no rings") }
                for item in list { try rings(item) }
            default: others.insert(type)
            }
        }
        if let list = json as? [Any] {
            for item in list { try collect(item, depth: 0) }
        } else {
            try collect(json, depth: 0)
        }
        guard !polygons.isEmpty else {
            throw malformed(
                "it has no polygon" + (others.isEmpty ? "" : ", only \(others.sorted().joined(separator: ", "))"))
        }
        return polygons
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
