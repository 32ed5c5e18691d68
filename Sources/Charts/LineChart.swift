public import Failures
internal import Foundation
public import Raster

/// A line chart with axes, a grid and a legend.
public struct LineChart: Sendable {
    public struct Series: Sendable {
        let name: String
        let color: Canvas.Color
        let points: [(x: Double, y: Double)]
        let isDashed: Bool

        public init(_ name: String, color: Canvas.Color, points: [(x: Double, y: Double)], isDashed: Bool = false) {
            self.name = name
            self.color = color
            self.points = points
            self.isDashed = isDashed
        }
    }

    public var title: String
    public var subtitle: String
    public var xLabel: String
    public var yLabel: String
    public var series: [Series]
    public var xRange: ClosedRange<Double> = 0...1
    public var yRange: ClosedRange<Double> = 0...1
    /// Grid lines across and along the axes, less one.
    public var xSteps = 5
    public var ySteps = 5
    public var legend = Legend.bottomRight

    /// Where the names of the series stand: where the curves are not.
    public enum Legend: Sendable { case bottomRight, topLeft }

    public init(title: String, subtitle: String, xLabel: String, yLabel: String, series: [Series]) {
        self.title = title
        self.subtitle = subtitle
        self.xLabel = xLabel
        self.yLabel = yLabel
        self.series = series
    }

    /// Draws the chart.
    public func rendered(width: Int = 640, height: Int = 640) throws(RasterError) -> RGBImage {
        let canvas = try Canvas(width: width, height: height)
        let (left, right, top, bottom) = (72.0, Double(width) - 24, 104.0, Double(height) - 64)
        func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
            (
                left + (x - xRange.lowerBound) / (xRange.upperBound - xRange.lowerBound) * (right - left),
                bottom - (y - yRange.lowerBound) / (yRange.upperBound - yRange.lowerBound) * (bottom - top)
            )
        }
        canvas.text(title, x: left, y: 34, size: 18, isBold: true)
        canvas.text(subtitle, x: left, y: 56, size: 12, color: .muted)
        for step in 0...xSteps {
            let x = xRange.lowerBound + Double(step) / Double(xSteps) * (xRange.upperBound - xRange.lowerBound)
            canvas.line([place(x, yRange.lowerBound), place(x, yRange.upperBound)], color: .rule)
            canvas.text(
                String(format: "%.4g", x), x: place(x, 0).x, y: bottom + 20, size: 12, color: .muted, alignment: .center
            )
        }
        for step in 0...ySteps {
            let y = yRange.lowerBound + Double(step) / Double(ySteps) * (yRange.upperBound - yRange.lowerBound)
            canvas.line([place(xRange.lowerBound, y), place(xRange.upperBound, y)], color: .rule)
            canvas.text(
                String(format: "%.3g", y), x: left - 10, y: place(0, y).y + 4, size: 12, color: .muted,
                alignment: .right)
        }
        canvas.text(xLabel, x: (left + right) / 2, y: Double(height) - 18, size: 13, alignment: .center)
        canvas.text(yLabel, x: left, y: top - 12, size: 13)
        for line in series {
            canvas.line(
                line.points.map { place($0.x, $0.y) }, color: line.color, width: line.isDashed ? 1.5 : 2.5,
                dashes: line.isDashed ? [5, 4] : [])
        }
        let named = series.filter { !$0.name.isEmpty }
        for (index, line) in named.enumerated() {
            let (x, y) =
                legend == .topLeft
                ? (left + 16, top + 24 + 22 * Double(index))
                : (right - 290, bottom - 18 - 22 * Double(named.count - 1 - index))
            canvas.line(
                [(x, y - 4), (x + 28, y - 4)], color: line.color, width: 2.5, dashes: line.isDashed ? [5, 4] : [])
            canvas.text(line.name, x: x + 36, y: y, size: 12.5)
        }
        return canvas.rendered()
    }
}
