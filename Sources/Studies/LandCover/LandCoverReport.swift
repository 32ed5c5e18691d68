public import Foundation
internal import GeoRaster
internal import LandCover

/// Writes the tables of what the study of land cover has done so far.
public struct LandCoverReport: Sendable {
    private let study: LandCoverStudy
    private let water: WaterStudy?
    private let command: String

    /// - Parameter water: nil where there is no series of years.
    public init(study: LandCoverStudy, water: WaterStudy?, command: String) {
        self.study = study
        self.water = water
        self.command = command
    }

    /// - Returns: the file written.
    public func write(to folder: URL) throws -> URL {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let file = folder.appendingPathComponent("landcover.md")
        var page = StudyPage(title: "Land cover", command: command, note: "Seeds from 1.")
        page.text(try StudyTexts.paragraphs("landcover"))
        func section(
            _ heading: String, text: String, picture: String? = nil, tables: [(caption: String?, table: MarkdownTable)]
        ) throws {
            guard tables.contains(where: { !$0.table.isEmpty }) else { return }
            page.heading(heading)
            page.text(try StudyTexts.paragraphs(text))
            for (caption, table) in tables where !table.isEmpty {
                if let caption { page.text(caption) }
                page.table(table)
            }
            if let picture { page.picture(picture, caption: "\(heading): the same place by each method") }
        }
        let pictures = try writePictures(to: folder)
        let criteria = LandCoverStudy.criteria
        try section(
            "Real tiles", text: "landcover-tiles", tables: [(nil, rows(criteria, data: "tiles", test: "all"))])
        try section(
            "Synthetic land", text: "landcover-synthetic", picture: pictures["synthetic"],
            tables: [(nil, rows(criteria, data: "synthetic", test: "all"))])
        let states = [("two", "State two: no true label of it is used."), ("one", "State one: the same networks.")]
        let semi = "semi-synthetic"
        try section(
            "A semi-synthetic scene", text: "landcover-semi-synthetic",
            tables: states.map { ($0.1, rows(criteria + [LandCoverStudy.both], data: semi, test: $0.0)) })
        let compared = criteria.filter { ["sr", "interval", "soft"].contains($0.name) }
        try section(
            "Priors", text: "landcover-priors",
            tables: [(nil, rows(compared + LandCoverStudy.otherPriors, data: semi, test: "two"))])
        try section(
            "Few true labels", text: "landcover-few-labels",
            tables: states.map { ("State \($0.0)", shareRows(data: semi, test: $0.0)) })
        try section("Change", text: "landcover-change", tables: [(nil, changeRows)])
        page.open(
            study.jobs.filter { study.result($0) == nil }.map(\.name)
                + (water.map { water in water.jobs.filter { water.result($0) == nil }.map(\.name) } ?? []))
        try page.write(to: file)
        return file
    }

    /// Draws a place by each method. Only what is wholly synthetic is ours to pass on; the others go to the folder of the jobs.
    ///
    /// - Returns: the names of those in the folder, by data.
    private func writePictures(to folder: URL) throws -> [String: String] {
        var written: [String: String] = [:]
        for fold in study.folds {
            guard let name = fold.tests.sorted(by: { $0.key > $1.key }).first?.value.first else { continue }
            let methods =
                fold.data == "semi-synthetic"
                ? LandCoverStudy.criteria + [LandCoverStudy.both] : LandCoverStudy.criteria
            let maps = methods.compactMap { method -> (String, GeoRaster)? in
                let job = LandCoverStudy.Job(fold: fold, method: method, seed: 1)
                guard study.result(job) != nil else { return nil }
                return (try? GeoRaster(study.map(of: name, in: job))).map { (method.title, $0) }
            }
            guard !maps.isEmpty else { continue }
            func raster(_ kind: String) throws -> GeoRaster {
                try GeoRaster(fold.folder.appendingPathComponent("\(kind)/\(name).tif"))
            }
            let isOurs = fold.data == "synthetic"
            let file = "landcover-\(fold.name.replacing("/", with: "-")).png"
            try MapPicture(labels: .fourLabels, mostPixels: 256, columns: 4).write(
                image: raster(fold.images), coarse: raster(fold.coarse), maps: maps, truth: raster(fold.fine),
                to: (isOurs ? folder : study.work).appendingPathComponent(file))
            if isOurs { written[fold.data] = file }
        }
        return written
    }

    /// What maps of all folds of a seed together score: accuracy, mean IoU, the same in developed cells, IoU of impervious ground.
    private func scores(_ method: LandCoverStudy.Method, data: String, test: String) -> [[Double]] {
        (1...UInt64(study.seeds)).compactMap { seed in
            let results = study.folds.filter { $0.data == data }.map {
                study.result(LandCoverStudy.Job(fold: $0, method: method, seed: seed))?.scores[test]
            }
            guard !results.isEmpty, results.allSatisfy({ $0 != nil }),
                let all = MapEvaluation.Confusion.sum(results.compactMap { $0?.all }),
                let developed = MapEvaluation.Confusion.sum(results.compactMap { $0?.developed })
            else { return nil }
            return [
                all.accuracy, all.meanIntersectionOverUnion, developed.accuracy, developed.meanIntersectionOverUnion,
                all.intersectionOverUnion(of: all.labels.count - 1) ?? 0,
            ]
        }
    }

    private func means(_ scores: [[Double]]) -> [String] {
        (scores.first ?? []).indices.map { column in Shown.number(Shown.mean(scores.map { $0[column] })) }
    }

    private func rows(_ methods: [LandCoverStudy.Method], data: String, test: String) -> MarkdownTable {
        var rows = MarkdownTable([
            "", "accuracy", "mean IoU", "developed: accuracy", "developed: mean IoU", "IoU impervious", "seeds",
        ])
        for method in methods {
            let scores = scores(method, data: data, test: test)
            guard !scores.isEmpty else { continue }
            rows.append([method.title] + means(scores) + ["\(scores.count)"])
        }
        return rows
    }

    private var changeRows: MarkdownTable {
        var rows = MarkdownTable(["years", "signal", "AUC", "false", "missed", "windows", "changed", "seeds"])
        guard let water else { return rows }
        let pairs = water.jobs.filter { $0.seed == 1 }
        for pair in pairs {
            let results = water.jobs.filter { $0.before == pair.before && $0.after == pair.after }.compactMap(
                water.result)
            guard let first = results.first else { continue }
            let signals: [(String, KeyPath<WaterStudy.Result, WaterStudy.Score>)] = [
                ("maps of water", \.map), ("images, calibrated", \.calibratedImages), ("images", \.images),
            ]
            for (title, path) in signals {
                let scores = results.map { $0[keyPath: path] }
                rows.append([
                    "\(pair.before) → \(pair.after)", title,
                    Shown.number(Shown.mean(scores.compactMap(\.areaUnderCurve))),
                    Shown.number(Shown.mean(scores.map { Double($0.falseWindows) }), digits: 1),
                    Shown.number(Shown.mean(scores.map { Double($0.missedWindows) }), digits: 1),
                    "\(first.windows)", "\(first.changed)", path == \.map ? "\(results.count)" : "–",
                ])
            }
        }
        return rows
    }

    /// By the pixels with true labels: full supervision beside both together.
    private func shareRows(data: String, test: String) -> MarkdownTable {
        var rows = MarkdownTable([
            "labelled pixels", "HR: accuracy", "HR: developed mean IoU", "HR + SR: accuracy",
            "HR + SR: developed mean IoU", "seeds",
        ])
        let methods = LandCoverStudy.criteria + [LandCoverStudy.both] + LandCoverStudy.fewerLabels
        func shown(_ name: String) -> (cells: [String], seeds: Int) {
            let scores = methods.first { $0.name == name }.map { self.scores($0, data: data, test: test) } ?? []
            let cells = means(scores)
            return (cells.isEmpty ? ["–", "–"] : [cells[0], cells[3]], scores.count)
        }
        for (title, alone, both) in [
            ("0", nil, "sr"), ("10⁴", "hr-1e4", "hr+sr-1e4"), ("10⁵", "hr-1e5", "hr+sr-1e5"),
            ("10⁶", "hr-1e6", "hr+sr-1e6"), ("all", "hr", "hr+sr"),
        ] {
            let (one, other) = (alone.map(shown), shown(both))
            guard other.seeds > 0 else { continue }
            rows.append([title] + (one?.cells ?? ["–", "–"]) + other.cells + ["\(other.seeds)"])
        }
        return rows
    }
}
