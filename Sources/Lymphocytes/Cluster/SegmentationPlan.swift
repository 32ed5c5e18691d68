internal import BatchWork
internal import Failures
public import Foundation
internal import LabelSuperResolution
internal import Raster
public import WholeSlide

/// Which task of a cluster segments which slides, with what: a file that all tasks read.
///
/// Slides are divided by what they are likely to cost. The engine is pinned, since `auto` would choose another one on another kind
/// of node, and its cells would differ.
public struct SegmentationPlan: Codable, Equatable, Sendable {
    /// A slide of a task.
    public struct PlannedSlide: Codable, Equatable, Sendable {
        public let path: String
        public let subfolder: String
        public let sharesName: Bool
        public let tissueSquareMillimeters: Double
        /// Seconds of one thread, estimated.
        public let threadSeconds: Double
        /// The file's size and date when it was planned.
        public let stamp: String

        init(
            path: String, subfolder: String, sharesName: Bool, tissueSquareMillimeters: Double, threadSeconds: Double,
            stamp: String = ""
        ) {
            self.stamp = stamp
            self.path = path
            self.subfolder = subfolder
            self.sharesName = sharesName
            self.tissueSquareMillimeters = tissueSquareMillimeters
            self.threadSeconds = threadSeconds
        }

        public var file: SlideFile {
            var file = SlideFile(URL(fileURLWithPath: path), subfolder: subfolder)
            file.sharesName = sharesName
            return file
        }
    }

    /// A slide that cannot be used: no task has it.
    public struct UnusableSlide: Codable, Equatable, Sendable {
        public let path: String
        public let reason: String

        public init(path: String, reason: String) {
            self.path = path
            self.reason = reason
        }
    }

    /// What decides the cells besides the model, as `segment` takes it.
    public struct Options: Codable, Equatable, Sendable {
        public var precision: String
        public var threshold: Double?
        public var micronsPerPixel: Double?
        public var heatmaps: String?
        public var tissue: String

        public init(
            precision: String, threshold: Double? = nil, micronsPerPixel: Double? = nil, heatmaps: String? = nil,
            tissue: String = "auto"
        ) {
            self.precision = precision
            self.threshold = threshold
            self.micronsPerPixel = micronsPerPixel
            self.heatmaps = heatmaps
            self.tissue = tissue
        }
    }

    /// Of this layout.
    public var format = SegmentationPlan.currentFormat
    /// Changes with what is planned: shards of other plans in the same folder have other names.
    public let name: String
    /// The name of the plan that this one is a rest of; its own where it is none. Shards of one family are one cohort: the same model,
    /// options and slides.
    public let family: String
    public let model: String
    public let modelFingerprint: String
    public let options: Options
    /// Folder of the shards, which all nodes see.
    public let results: String
    /// Of each task, from task 1.
    public let tasks: [[PlannedSlide]]
    public let unusable: [UnusableSlide]

    public static let currentFormat = 1

    /// Bytes of a results file for each mm² of tissue, about: a thousand cells of 600 B.
    private static let bytesPerSquareMillimeter = 600_000.0

    public var slides: [PlannedSlide] { tasks.flatMap { $0 } }
    public var tissueSquareMillimeters: Double { slides.reduce(0) { $0 + $1.tissueSquareMillimeters } }
    /// Bytes of all shards, estimated.
    public var bytes: Double { tissueSquareMillimeters * SegmentationPlan.bytesPerSquareMillimeter }
    /// Thread-seconds of the slowest task, estimated.
    public var longestTask: Double { tasks.map { $0.reduce(0) { $0 + $1.threadSeconds } }.max() ?? 0 }

    /// Divides slides.
    ///
    /// - Parameter tasks: at least 1; tasks that would have no slide are left out.
    public init(
        slides: [PlannedSlide], unusable: [UnusableSlide], model: URL, fingerprint: String, options: Options,
        results: URL, tasks: Int, family: String? = nil
    ) {
        self.model = model.path
        modelFingerprint = fingerprint
        self.options = options
        self.results = results.path
        self.unusable = unusable
        let parts = BalancedParts.indices(
            costs: slides.map(\.threadSeconds), parts: max(1, min(tasks, slides.count)))
        self.tasks = parts.map { part in part.map { slides[$0] } }
        var identity = Fingerprint()
        identity.add("\(fingerprint) \(options)".utf8)
        for task in self.tasks { identity.add("\(task.map { "\($0.path) \($0.stamp)" })".utf8) }
        name = String(identity.text.prefix(8))
        self.family = family ?? name
    }

    /// Reads a plan.
    ///
    /// - Throws: ``InputError`` where it is none.
    public init(contentsOf url: URL) throws {
        struct Header: Decodable {
            let format: Int
        }
        let data = try FileData.read(url, mostBytes: 1 << 30)
        guard let header = try? JSONDecoder().decode(Header.self, from: data) else {
            throw InputError(.unusable, "\(url.path) is no plan of 'graticule plan'")
        }
        guard header.format == SegmentationPlan.currentFormat else {
            throw InputError(
                .unusable,
                "\(url.path) is a plan of format \(header.format), this program's is \(SegmentationPlan.currentFormat)")
        }
        do {
            self = try JSONDecoder().decode(SegmentationPlan.self, from: data)
        } catch {
            throw InputError(.unusable, "\(url.path) is no plan of 'graticule plan': it is incomplete")
        }
        guard !tasks.isEmpty else { throw InputError(.unusable, "\(url.path) is a plan without a task") }
        let isSound =
            [name, family].allSatisfy { text in
                (1...64).contains(text.count) && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
            }
            && slides.allSatisfy { slide in
                [slide.tissueSquareMillimeters, slide.threadSeconds].allSatisfy { (0...1e9).contains($0) }
            } && InferenceEngine(named: options.precision) != nil
            && options.threshold.map { $0 > 0 && $0 < 1 } ?? true
        guard isSound else {
            throw InputError(
                .unusable, "\(url.path) is no plan of 'graticule plan': a name or a number in it is impossible")
        }
    }

    public func write(to url: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try AtomicFile.write(try encoder.encode(self), to: url)
    }

    /// The same for other slides: what is left of it.
    ///
    /// - Parameter tasks: as many tasks, at most.
    public func with(slides: [PlannedSlide], tasks: Int) -> SegmentationPlan {
        SegmentationPlan(
            slides: slides, unusable: [], model: URL(fileURLWithPath: model), fingerprint: modelFingerprint,
            options: options, results: URL(fileURLWithPath: results), tasks: tasks, family: family)
    }
}

extension SegmentationPlan.PlannedSlide {
    /// Looks at a slide: its tissue, and what reading it will cost.
    ///
    /// - Throws: where it cannot be used; such a slide would fail in its task.
    public init(_ file: SlideFile, givenScale: Double?, tissue: TissueSource, micronsPerPixel working: Double) throws {
        let slide = try Slide(file.url)
        let scale = try slide.scale(given: givenScale)
        _ = try WorkingFrame(slide: slide, scale: scale, micronsPerPixel: working)
        let area = try TissueMask(slide: slide, scale: scale, source: try tissue.resolved(for: file))
            .areaSquareMillimeters
        // The level that is read has pixels of this size; finer ones than the network's are read all the same.
        let ratio = working / scale.micronsPerPixel
        let level = slide.levels.last { $0.downsample <= ratio * 1.01 }?.downsample ?? 1
        let oversampling = max(1, (ratio / level) * (ratio / level))
        let description = slide.properties["tiff.ImageDescription"] ?? ""
        self.init(
            path: file.url.path, subfolder: file.subfolder, sharesName: file.sharesName, tissueSquareMillimeters: area,
            threadSeconds: Cost.perSlide + area
                * (Cost.inference + Cost.reading * oversampling * (description.contains("J2K") ? Cost.jpeg2000 : 1)),
            stamp: file.stamp ?? "")
    }

    /// Thread-seconds, as measured on two cores (docs/results/performance.md); only their ratios decide who gets which slide.
    private enum Cost {
        static let perSlide = 2.0
        /// Of a mm².
        static let inference = 0.2
        /// Of a mm² that is read at the network's own size of a pixel.
        static let reading = 0.15
        /// JPEG 2000 beside JPEG.
        static let jpeg2000 = 3.0
    }
}
