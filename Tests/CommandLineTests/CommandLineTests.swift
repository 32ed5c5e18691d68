import Foundation
import GraticuleTesting
import ResultStore
import Testing

/// The program as others script it: exit statuses, one clear sentence, nothing half-written.
@Suite(.serialized)
struct CommandLineTests {
    private func graticule(_ arguments: String..., killAfter seconds: Double? = nil) throws -> Subprocess.Outcome {
        try Subprocess.run(Subprocess.graticule, arguments, killAfter: seconds)
    }

    private let phantom = PhantomFixture.folder.path

    /// A model of a few steps, trained through the command line.
    private func train(_ folder: URL, steps: Int = 4, arguments: [String] = []) throws -> Subprocess.Outcome {
        try Subprocess.run(
            Subprocess.graticule,
            [
                "train", "--slides", phantom, "--heatmaps", "\(phantom)/heatmaps", "--output", folder.path, "--steps",
                String(steps), "--widths", "4,6", "--members", "1", "--only", "phantom-1",
            ] + arguments)
    }

    @Test func helpAndVersionAreThere() throws {
        let help = try graticule("--help")
        #expect(help.status == 0 && help.output.contains("research use only"))
        for name in [
            "phantom", "inspect", "priors", "train", "segment", "evaluate", "evaluate-cells", "query", "experiment",
        ] {
            #expect(help.output.contains(name))
            #expect(try graticule(name, "--help").status == 0)
        }
        #expect(try graticule("--version").output.contains("graticule"))
    }

    @Test(arguments: [
        ["segment"], ["train", "--slides", "x"], ["evaluate", "x", "--model", "y", "--score", "middle"], ["nothing"],
        ["priors", "--output", "x"], ["phantom", "--output", "x", "--size", "3"],
        ["segment", "x", "--model", "m", "--results", "r", "--threshold", "2"],
        ["train", "--slides", "x", "--heatmaps", "y", "--output", "z", "--criterion", "magic"],
        ["train", "--slides", "x", "--heatmaps", "y", "--output", "z", "--masks", "m"],
        ["train", "--slides", "x", "--heatmaps", "y", "--output", "z", "--fine-fraction", "0.5"],
        ["train", "--slides", "x", "--heatmaps", "y", "--output", "z", "--interval-radius", "0.1"],
        ["train", "--slides", "x", "--heatmaps", "y", "--output", "z", "--criterion", "l2", "--log-weight", "0.5"],
        ["train", "--slides", "x", "--heatmaps", "y", "--output", "z", "--criterion", "soft", "--epsilon", "0.01"],
        ["priors", "--show", "x", "--counts", "y"],
        ["experiment", "lymphocytes", "--data", "x", "--output", "y", "--only", "magic"],
    ]) func wrongUsageIsStatusTwo(arguments: [String]) throws {
        let outcome = try Subprocess.run(Subprocess.graticule, arguments)
        #expect(outcome.status == 2)
        #expect(outcome.errors.contains("Usage") || outcome.errors.contains("Error"))
    }

    @Test func priorsComeFromDescriptionsAndAreDrawn() throws {
        try TestFolders.withTemporary { folder in
            let (table, priors) = (folder.appendingPathComponent("t.csv"), folder.appendingPathComponent("p.json").path)
            let rows = (0..<10).map { "\($0),\(Double($0) / 20),\(Double($0) / 20 + 0.1)" }
            try Data((["class,low,high"] + rows).joined(separator: "\n").utf8).write(to: table)
            #expect(try graticule("priors", "--intervals", table.path, "--output", priors).status == 0)
            let chart = folder.appendingPathComponent("p.png")
            let shown = try graticule("priors", "--show", priors, "--output", chart.path)
            // Class 9: 0.45 to 0.55.
            #expect(shown.status == 0 && shown.output.contains("9 0.500      0.029"))
            #expect(FileManager.default.fileExists(atPath: chart.path))
            try Data("class,low,high\n0,0.5,0.4\n".utf8).write(to: table)
            let wrong = try graticule("priors", "--intervals", table.path, "--output", priors)
            #expect(wrong.status == 1 && wrong.errors.contains("line 2"))
        }
    }

    @Test func fineCriteriaTrainFromMasksAndAskForThem() throws {
        try TestFolders.withTemporary { folder in
            let model = folder.appendingPathComponent("model")
            let missing = try train(model, arguments: ["--criterion", "hr"])
            #expect(missing.status == 1 && missing.errors.contains("--masks"))
            #expect(!FileManager.default.fileExists(atPath: model.appendingPathComponent("model.json").path))
            let trained = try train(
                model, arguments: ["--criterion", "hr+sr", "--masks", "\(phantom)/masks", "--fine-fraction", "0.5"])
            #expect(trained.status == 0, "\(trained.errors)")
            let text = try String(contentsOf: model.appendingPathComponent("model.json"), encoding: .utf8)
            #expect(text.contains("fineAndCoarse"))
        }
    }

    @Test func anExperimentWithoutItsDataSaysWhatIsMissing() throws {
        let outcome = try graticule("experiment", "lymphocytes", "--data", phantom, "--output", "/nonexistent/x")
        #expect(outcome.status == 1 && outcome.errors.contains("CoNSeP"))
    }

    @Test func theMainJobRunsOnAPhantom() throws {
        try TestFolders.withTemporary { folder in
            let model = folder.appendingPathComponent("model")
            let trained = try train(model)
            try #require(trained.status == 0, "\(trained.errors)")
            let results = folder.appendingPathComponent("r.sqlite").path
            // Three of these are no slides; the phantom is done all the same.
            for name in ["text.svs", "empty.svs", "gone.tiff"] {
                try Data(name == "text.svs" ? "text".utf8 : "".utf8).write(to: folder.appendingPathComponent(name))
            }
            let segmented = try graticule(
                "segment", "\(phantom)/phantom-2.svs", folder.path, "--model", model.path, "--results", results,
                "--workers",
                "2", "--heatmaps", "\(phantom)/heatmaps")
            #expect(segmented.status == 3)
            #expect(segmented.output.contains("1 of 4 slides done"))
            #expect(segmented.output.contains("text.svs"))
            let evaluated = try graticule("evaluate", "\(phantom)/patches/phantom-2", "--model", model.path, "--json")
            #expect(evaluated.status == 0 && evaluated.output.contains("\"darkness\""))
            let own = try graticule("evaluate", "\(phantom)/patches/phantom-1", "--model", model.path)
            #expect(own.status == 2 && own.errors.contains("phantom-1"), "trained on it")
            let cells = try graticule("evaluate-cells", "\(phantom)/truth/phantom-2.csv", "--results", results)
            #expect(cells.status == 0 && cells.output.contains("F1"))
            let query = try graticule("query", results, "SELECT slide FROM slide_summary", "--format", "csv")
            #expect(query.output == "slide\nphantom-2\n")
            let json = try graticule("query", results, "SELECT name, tissue_mm2 FROM slide", "--format", "json")
            #expect(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) is [[String: Any]])
        }
    }

    @Test func badModelsResultsAndFoldersAreOneSentence() throws {
        try TestFolders.withTemporary { folder in
            let model = folder.appendingPathComponent("model")
            try #require(try train(model).status == 0)
            let slide = "\(phantom)/phantom-2.svs"
            let results = folder.appendingPathComponent("r.sqlite")
            func fails(_ arguments: [String], _ wanted: String) throws {
                let outcome = try Subprocess.run(Subprocess.graticule, arguments)
                #expect(outcome.status == 1, "\(arguments)")
                let sentence = outcome.errors.split(separator: "\n").last.map(String.init) ?? ""
                #expect(sentence.hasPrefix("error: ") && sentence.contains(wanted), "\(outcome.errors)")
            }
            try fails(["segment", slide, "--model", folder.path, "--results", results.path], "model.json is missing")
            try Data("no database, only text".utf8).write(to: results)
            try fails(["segment", slide, "--model", model.path, "--results", results.path], "no SQLite file")
            try fails(["segment", slide, "--model", model.path, "--results", "/proc/r.sqlite"], "/proc/r.sqlite")
            try fails(["query", "/nowhere.sqlite", "SELECT 1"], "no results file")
            try fails(["inspect", "/nowhere.svs"], "no such file")
            try fails(["priors", "--counts", "/nowhere.csv", "--output", "p.json"], "/nowhere.csv")
            let weights = model.appendingPathComponent("weights.safetensors")
            let whole = try Data(contentsOf: weights)
            try whole.prefix(whole.count / 2).write(to: weights)
            try fails(
                ["segment", slide, "--model", model.path, "--results", "\(results.path)2"], "weights.safetensors")
            try whole.write(to: weights)
            let description = model.appendingPathComponent("model.json")
            let text = try String(contentsOf: description, encoding: .utf8)
            try Data(text.replacingOccurrences(of: "\"rgb+he\"", with: "\"naip\"").utf8).write(to: description)
            try fails(["segment", slide, "--model", model.path, "--results", "\(results.path)2"], "naip")
            try Data(text.prefix(text.count / 2).utf8).write(to: description)
            try fails(["segment", slide, "--model", model.path, "--results", "\(results.path)2"], "cut off")
        }
    }

    @Test func aHeatmapThatIsNoneCostsItsSlide() throws {
        try TestFolders.withTemporary { folder in
            let heatmaps = folder.appendingPathComponent("heatmaps")
            try FileManager.default.copyItem(
                at: PhantomFixture.folder.appendingPathComponent("heatmaps"), to: heatmaps)
            try Data("50 50 nan 0\n150 50 0 0\n".utf8).write(
                to: heatmaps.appendingPathComponent("prediction-phantom-2"))
            let model = folder.appendingPathComponent("m")
            let outcome = try graticule(
                "train", "--slides", phantom, "--heatmaps", heatmaps.path, "--output", model.path, "--steps", "2",
                "--widths", "4,6", "--members", "1")
            #expect(outcome.status == 3)
            #expect(outcome.errors.contains("prediction-phantom-2 line 1"))
            #expect(FileManager.default.fileExists(atPath: model.appendingPathComponent("model.json").path))
        }
    }

    @Test func aKilledTrainingGoesOnToTheSameWeights() throws {
        try TestFolders.withTemporary { folder in
            let (whole, killed) = (folder.appendingPathComponent("a"), folder.appendingPathComponent("b"))
            try #require(try train(whole, steps: 60).status == 0)
            _ = try Subprocess.run(
                Subprocess.graticule,
                [
                    "train", "--slides", phantom, "--heatmaps", "\(phantom)/heatmaps", "--output", killed.path,
                    "--steps",
                    "60", "--widths", "4,6", "--members", "1", "--only", "phantom-1",
                ], killAfter: 3)
            try #require(try train(killed, steps: 60, arguments: ["--resume"]).status == 0)
            let name = "weights.safetensors"
            #expect(
                try Data(contentsOf: whole.appendingPathComponent(name))
                    == Data(contentsOf: killed.appendingPathComponent(name)))
        }
    }

    @Test func aKilledSegmentationGoesOnToTheSameCells() throws {
        try TestFolders.withTemporary { folder in
            let model = folder.appendingPathComponent("m")
            try #require(try train(model).status == 0)
            func segment(_ file: String, killAfter: Double? = nil) throws -> Int32 {
                try Subprocess.run(
                    Subprocess.graticule,
                    [
                        "segment", "\(phantom)/phantom-1.svs", "\(phantom)/phantom-2.svs", "--model", model.path,
                        "--results", folder.appendingPathComponent(file).path, "--tile", "64", "--threshold", "0.3",
                    ], killAfter: killAfter
                ).status
            }
            try #require(try segment("a.sqlite") == 0)
            for delay in [0.15, 0.3, 0.5, 0.8] { _ = try segment("b.sqlite", killAfter: delay) }
            try #require(try segment("b.sqlite") == 0)
            func cells(_ file: String) throws -> [[ResultStore.Value]] {
                var rows: [[ResultStore.Value]] = []
                let store = try ResultStore(readOnly: folder.appendingPathComponent(file))
                try store.query("PRAGMA integrity_check") { _, values in
                    #expect(values == nil || values == [.text("ok")])
                }
                try store.query(
                    """
                    SELECT slide.name, centroid_x, centroid_y, area_um2, polygon, mask FROM cell JOIN run ON run.id = run_id
                    JOIN slide ON slide.id = slide_id ORDER BY 1, 2, 3
                    """
                ) { _, values in if let values { rows.append(values) } }
                return rows
            }
            let (a, b) = (try cells("a.sqlite"), try cells("b.sqlite"))
            #expect(a == b)
        }
    }
}
