internal import CCairo
public import Failures
public import Raster

/// A drawing surface for charts and contact sheets, on cairo. Units are pixels, y down.
public final class Canvas {
    public struct Color: Sendable {
        let red: Double
        let green: Double
        let blue: Double

        /// From `0xRRGGBB`.
        public init(_ hex: Int) {
            red = Double(hex >> 16 & 0xff) / 255
            green = Double(hex >> 8 & 0xff) / 255
            blue = Double(hex & 0xff) / 255
        }

        public static let ink = Color(0x1f2430)
        public static let muted = Color(0x6b7280)
        public static let rule = Color(0xe3e5ea)
        public static let accent = Color(0x5b2a86)
        public static let second = Color(0xd9822b)
    }

    public enum Alignment: Sendable { case left, center, right }

    public let width: Int
    public let height: Int
    private let surface: OpaquePointer
    private let context: OpaquePointer

    public init(width: Int, height: Int) throws(RasterError) {
        self.width = width
        self.height = height
        guard let surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(width), Int32(height)),
            cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS, let context = cairo_create(surface)
        else { throw RasterError(.unwritable, "cannot draw \(width)×\(height) pixels: no memory") }
        self.surface = surface
        self.context = context
        cairo_select_font_face(context, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL)
        set(Color(0xffffff))
        cairo_paint(context)
    }

    deinit {
        cairo_destroy(context)
        cairo_surface_destroy(surface)
    }

    private func set(_ color: Color, opacity: Double = 1) {
        cairo_set_source_rgba(context, color.red, color.green, color.blue, opacity)
    }

    public func line(_ points: [(x: Double, y: Double)], color: Color, width: Double = 1, dashes: [Double] = []) {
        guard let first = points.first else { return }
        set(color)
        cairo_set_line_width(context, width)
        cairo_set_dash(context, dashes, Int32(dashes.count), 0)
        cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND)
        cairo_move_to(context, first.x, first.y)
        for point in points.dropFirst() { cairo_line_to(context, point.x, point.y) }
        cairo_stroke(context)
        cairo_set_dash(context, [], 0, 0)
    }

    public func rectangle(x: Double, y: Double, width: Double, height: Double, fill: Color, opacity: Double = 1) {
        set(fill, opacity: opacity)
        cairo_rectangle(context, x, y, width, height)
        cairo_fill(context)
    }

    public func frame(x: Double, y: Double, width: Double, height: Double, color: Color, lineWidth: Double = 1) {
        set(color)
        cairo_set_line_width(context, lineWidth)
        cairo_rectangle(context, x, y, width, height)
        cairo_stroke(context)
    }

    /// Writes `text` with its baseline at `y`.
    public func text(
        _ text: String, x: Double, y: Double, size: Double = 13, color: Color = .ink, isBold: Bool = false,
        alignment: Alignment = .left
    ) {
        cairo_select_font_face(
            context, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, isBold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL)
        cairo_set_font_size(context, size)
        var extents = cairo_text_extents_t()
        cairo_text_extents(context, text, &extents)
        let shift =
            switch alignment {
            case .left: 0.0
            case .center: -extents.x_advance / 2
            case .right: -extents.x_advance
            }
        set(color)
        cairo_move_to(context, x + shift, y)
        cairo_show_text(context, text)
    }

    /// Copies an image, pixel by pixel, with its top left corner at (`x`, `y`).
    public func image(_ image: RGBImage, x: Int, y: Int) {
        cairo_surface_flush(surface)
        guard let data = cairo_image_surface_get_data(surface) else { return }
        let stride = Int(cairo_image_surface_get_stride(surface))
        for row in max(0, -y)..<max(max(0, -y), min(image.height, height - y)) {
            for column in max(0, -x)..<max(max(0, -x), min(image.width, width - x)) {
                let (red, green, blue) = image[column, row]
                let target = data + (row + y) * stride + 4 * (column + x)
                // RGB24 is a native-endian 0xXXRRGGBB.
                (target[0], target[1], target[2]) = (blue, green, red)
            }
        }
        cairo_surface_mark_dirty(surface)
    }

    /// The finished picture.
    public func rendered() -> RGBImage {
        cairo_surface_flush(surface)
        var result = RGBImage(width: width, height: height)
        guard let data = cairo_image_surface_get_data(surface) else { return result }
        let stride = Int(cairo_image_surface_get_stride(surface))
        for y in 0..<height {
            for x in 0..<width {
                let source = data + y * stride + 4 * x
                result[x, y] = (source[2], source[1], source[0])
            }
        }
        return result
    }
}
