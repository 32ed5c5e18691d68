internal import Charts
public import Foundation
public import GeoRaster
internal import Raster

/// A picture of a map beside what it was made from: image, coarse classes, map and, where there is one, the truth.
public struct MapPicture {
    private let labels: LandClasses
    private let coarseClasses: LandClasses
    /// Pixels that are shown of a side, from the middle of the raster.
    private let mostPixels: Int
    /// Parts beside each other; more go into further rows.
    private let columns: Int

    public init(labels: LandClasses, coarse: LandClasses = .nlcd, mostPixels: Int = 512, columns: Int = 4) {
        self.labels = labels
        coarseClasses = coarse
        self.mostPixels = mostPixels
        self.columns = columns
    }

    /// Writes the picture as PNG.
    ///
    /// - Parameters:
    ///   - image: its first three bands are shown as red, green and blue.
    ///   - maps: with their titles; the first one's pixels are shown.
    ///   - truth: nil for none.
    /// - Throws: where a raster cannot be read, or the picture not be written.
    public func write(
        image: GeoRaster?, coarse: GeoRaster?, maps: [(title: String, raster: GeoRaster)], truth: GeoRaster?,
        to url: URL
    ) throws {
        guard let map = maps.first?.raster else { return }
        let (width, height) = (min(mostPixels, map.width), min(mostPixels, map.height))
        let window = GeoRaster.Window(
            column: (map.width - width) / 2, row: (map.height - height) / 2, width: width, height: height)
        var parts: [(title: String, image: RGBImage)] = []
        if let image, image.width == map.width, image.height == map.height {
            let picture = try BandStretch(image, window: window).picture(
                of: image, window: window, width: width, height: height)
            parts.append(("image", picture))
        }
        if let coarse {
            let (grid, known) = try CoarseCells(image: map, coarse: coarse, classes: coarseClasses).cells(in: window)
            parts.append(
                (
                    "coarse classes",
                    painted(coarseClasses, window) { pixel in
                        let cell = grid.cells[pixel]
                        return cell < 0 ? nil : known[Int(cell)]
                    }
                ))
        }
        for (title, raster) in maps + (truth.map { [("truth", $0)] } ?? []) {
            let (values, lookup) = (try raster.values(band: 0, in: window), labels.lookup)
            parts.append((title, painted(labels, window) { lookup[values[$0]] }))
        }
        let zoom = max(1, mostPixels / max(width, height))
        let (gap, top, bottom) = (12, 30, 34)
        let (across, down) = (width * zoom + gap, height * zoom + top)
        let rows = (parts.count + columns - 1) / columns
        let canvas = try Canvas(
            width: max(420, gap + min(columns, parts.count) * across), height: rows * down + bottom)
        for (index, part) in parts.enumerated() {
            let (x, y) = (gap + index % columns * across, index / columns * down)
            canvas.text(part.title, x: Double(x), y: Double(y) + 20, size: 13, isBold: true)
            canvas.image(part.image.enlarged(zoom), x: x, y: y + top)
        }
        var x = Double(gap)
        let y = Double(rows * down + 12)
        for label in labels.classes {
            let hex = label.color.reduce(0) { $0 << 8 | Int($1) }
            canvas.rectangle(x: x, y: y, width: 14, height: 14, fill: Canvas.Color(hex))
            canvas.text(label.name, x: x + 20, y: y + 12, size: 12)
            x += 34 + 8 * Double(label.name.count)
        }
        try PNG.write(canvas.rendered(), to: url)
    }

    private func painted(
        _ classes: LandClasses, _ window: GeoRaster.Window, index: (Int) -> Int?
    ) -> RGBImage {
        var picture = RGBImage(width: window.width, height: window.height)
        for pixel in 0..<window.width * window.height {
            guard let known = index(pixel) else { continue }
            for part in 0..<3 { picture.pixels[3 * pixel + part] = classes.classes[known].color[part] }
        }
        return picture
    }
}
