internal import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
internal import Raster
public import ResultStore
internal import Tables

/// Writes the cells of a run in the formats that others read (docs/exports.md): cell by cell, so that memory does not grow with
/// their number, under a temporary name until the file is whole.
public struct CellExport: Sendable {
    /// What is written.
    public enum Format: String, CaseIterable, Sendable {
        /// QuPath's detections; gzipped where the name ends in `.gz`. Coordinates count from the slide's bounds, as QuPath's do.
        case geoJSON = "geojson"
        case csv
        /// TIAToolbox's SQLiteStore.
        case tiaToolbox = "tiatoolbox"
        /// Run lengths over the whole slide in working pixels.
        case coco
        /// 255 where a lymphocyte is; BigTIFF pyramid.
        case maskTIFF = "mask-tiff"
        /// Probability · 255; computed anew from slide and model, since the store keeps cells only.
        case probabilityTIFF = "probability-tiff"
        /// The regions of 50 µm with the infiltration that the cells make likely: quip text, or WSInfer's table where the
        /// name ends in `.csv`.
        case heatmap
    }

    public let store: ResultStore
    public let run: StoredRun

    /// The class in the files, and its colour (QuPath's convention: a name without colour is an error there).
    static let className = "Lymphocyte"
    static let color = (r: 51, g: 102, b: 255)

    /// - Parameter model: name or fingerprint, where a slide has been segmented by several; the last run if nil.
    public init(store: ResultStore, slide: String, model: String? = nil) throws {
        self.store = store
        run = try store.finishedRun(ofSlide: slide, model: model)
    }

    /// The files from which the run was made: nothing may be written over them.
    public var inputs: [URL] { [URL(fileURLWithPath: run.slidePath), URL(fileURLWithPath: run.modelPath)] }

    /// Writes a file.
    ///
    /// - Parameter progress: gets the share that is done, now and then.
    /// - Throws: where the store cannot be read or the file not be written; no half file stays.
    public func write(_ format: Format, to url: URL, progress: (Double) -> Void = { _ in }) throws {
        switch format {
        case .geoJSON: try writeGeoJSON(url, progress: progress)
        case .csv: try writeCSV(url, progress: progress)
        case .tiaToolbox: try writeAnnotations(url, progress: progress)
        case .coco: try writeCOCO(url, progress: progress)
        case .maskTIFF: try writeMask(url, progress: progress)
        case .probabilityTIFF: try writeProbability(url, progress: progress)
        case .heatmap: try writeHeatmap(url, progress: progress)
        }
    }

    /// Goes through the cells in their order, with their number from 1.
    func forEachCell(progress: (Double) -> Void, _ body: (Int, StoredCell) throws -> Void) throws {
        var count = 0
        try store.forEachCell(run: run.id) { cell in
            count += 1
            do {
                try body(count, cell)
            } catch let error as RasterError where error.code == .mismatch {
                throw InputError(
                    .unusable, "\(store.url.path) is damaged: cell \(cell.id) of \(run.slide): \(error)", cause: error)
            }
            if count % 4096 == 0 { progress(Double(count) / Double(max(1, run.cells))) }
        }
    }

    /// A number without more digits than mean something.
    static func text(_ value: Double, decimals: Int) -> String {
        let scale = pow(10, Double(decimals))
        let rounded = (value * scale).rounded() / scale
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? String(Int(rounded)) : String(rounded)
    }

    /// Text within JSON, with its quotes.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            default:
                if scalar.value < 32 {
                    result += String(format: "\\u%04x", scalar.value)
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}

// MARK: Text formats

extension CellExport {
    private func writeGeoJSON(_ url: URL, progress: (Double) -> Void) throws {
        let file = try FileStream(url)
        let color = CellExport.color
        try file.write("{\"type\":\"FeatureCollection\",\"features\":[")
        try forEachCell(progress: progress) { number, cell in
            let outline = try Polygon(wellKnownBinary: cell.polygon)
            let ring = (outline.vertices + outline.vertices.prefix(1)).map { vertex in
                "[\(CellExport.text(vertex.x - run.boundsX, decimals: 2)),\(CellExport.text(vertex.y - run.boundsY, decimals: 2))]"
            }
            try file.write(
                """
                \(number == 1 ? "" : ",")
                {"type":"Feature","id":"\(identifier(cell))","geometry":{"type":"Polygon","coordinates":[[\(ring.joined(separator: ","))]]},\
                "properties":{"objectType":"detection","classification":{"name":"\(CellExport.className)",\
                "color":[\(color.r),\(color.g),\(color.b)]},"measurements":{\
                "Area µm^2":\(CellExport.text(cell.areaSquareMicrons, decimals: 3)),\
                "Perimeter µm":\(CellExport.text(cell.perimeterMicrons, decimals: 3)),\
                "Circularity":\(CellExport.text(cell.circularity, decimals: 4)),\
                "Mean probability":\(CellExport.text(cell.meanProbability, decimals: 4)),\
                "Mean hematoxylin OD":\(CellExport.text(cell.meanHematoxylin, decimals: 4))}}}
                """)
        }
        try file.write("\n]}\n")
        try file.finish()
    }

    /// A UUID (version 8: ours to define) that a cell keeps from export to export: of the run and the cell's number.
    private func identifier(_ cell: StoredCell) -> String {
        let run = UInt64(bitPattern: self.run.id)
        let id = UInt64(bitPattern: cell.id)
        return String(
            format: "%08x-%04x-8000-8%03x-%012llx", UInt32(truncatingIfNeeded: run),
            UInt16(truncatingIfNeeded: run >> 32),
            Int(id >> 48 & 0xfff), id & 0xffff_ffff_ffff)
    }

    private func writeCSV(_ url: URL, progress: (Double) -> Void) throws {
        let file = try FileStream(url)
        try file.write(
            "slide,cell,centroid_x,centroid_y,area_um2,perimeter_um,circularity,mean_probability,mean_hematoxylin_od\n")
        let name = TableText.field(run.slide)
        try forEachCell(progress: progress) { _, cell in
            let values = [
                CellExport.text(cell.centroidX, decimals: 2), CellExport.text(cell.centroidY, decimals: 2),
                CellExport.text(cell.areaSquareMicrons, decimals: 3),
                CellExport.text(cell.perimeterMicrons, decimals: 3), CellExport.text(cell.circularity, decimals: 4),
                CellExport.text(cell.meanProbability, decimals: 4), CellExport.text(cell.meanHematoxylin, decimals: 4),
            ]
            try file.write("\(name),\(cell.id),\(values.joined(separator: ","))\n")
        }
        try file.finish()
    }

    private func writeCOCO(_ url: URL, progress: (Double) -> Void) throws {
        let (width, height) = (run.workingWidth, run.workingHeight)
        // pycocotools counts pixels in 32 bits.
        guard width * height <= Int(UInt32.max) else {
            throw InputError(
                .unusable,
                "\(run.slide) has \(width)×\(height) working pixels, more than COCO's run lengths can count: export geojson or mask-tiff"
            )
        }
        let file = try FileStream(url)
        try file.write(
            """
            {"info":{"description":"Lymphocytes found by Graticule \(GraticuleVersion.current)",\
            "microns_per_pixel":\(run.micronsPerPixel * run.level0PerPixel),"level0_per_pixel":\(run.level0PerPixel)},
            "categories":[{"id":1,"name":"lymphocyte"}],
            "images":[{"id":1,"file_name":\(CellExport.quoted(run.slide)),"width":\(width),"height":\(height)}],
            "annotations":[
            """)
        try forEachCell(progress: progress) { number, cell in
            let mask = try RunLengthMask(width: cell.maskWidth, height: cell.maskHeight, compressed: cell.mask)
            guard cell.maskX + cell.maskWidth <= width, cell.maskY + cell.maskHeight <= height else {
                throw InputError(.unusable, "\(store.url.path) is damaged: cell \(cell.id) lies beside its slide")
            }
            let placed = mask.placed(x: cell.maskX, y: cell.maskY, inWidth: width, inHeight: height)
            let counts = String(decoding: placed.compressed, as: UTF8.self)
            try file.write(
                """
                \(number == 1 ? "" : ",")
                {"id":\(cell.id),"image_id":1,"category_id":1,"iscrowd":0,"area":\(mask.pixelCount),\
                "bbox":[\(cell.maskX),\(cell.maskY),\(cell.maskWidth),\(cell.maskHeight)],\
                "score":\(CellExport.text(cell.meanProbability, decimals: 4)),\
                "segmentation":{"size":[\(height),\(width)],"counts":\(CellExport.quoted(counts))}}
                """)
        }
        try file.write("\n]}\n")
        try file.finish()
    }

    private func writeAnnotations(_ url: URL, progress: (Double) -> Void) throws {
        let annotations = try AnnotationStore(url)
        try forEachCell(progress: progress) { _, cell in
            let outline = try Polygon(wellKnownBinary: cell.polygon)
            let (xs, ys) = (outline.vertices.map(\.x), outline.vertices.map(\.y))
            try annotations.add(
                AnnotationStore.Annotation(
                    key: identifier(cell), centroidX: cell.centroidX, centroidY: cell.centroidY,
                    bounds: (xs.min() ?? 0, xs.max() ?? 0, ys.min() ?? 0, ys.max() ?? 0), polygon: cell.polygon,
                    properties: """
                        {"type":"\(CellExport.className)","prob":\(CellExport.text(cell.meanProbability, decimals: 4)),\
                        "area_um2":\(CellExport.text(cell.areaSquareMicrons, decimals: 3)),\
                        "hematoxylin_od":\(CellExport.text(cell.meanHematoxylin, decimals: 4))}
                        """, area: outline.area))
        }
        try annotations.finish()
    }
}
