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
                String(steps), "--widths", "4,6", "--members", "1", "--no-self-training", "--only", "phantom-1",
            ] + arguments)
    }

    @Test func helpAndVersionAreThere() throws {
        let help = try graticule("--help")
        #expect(help.status == 0 && help.output.contains("research use only"))
        for name in [
            "phantom", "inspect", "squares", "priors", "train", "segment", "evaluate", "evaluate-cells", "query",
            "export",
        ] {
            #expect(help.output.contains(name))
            #expect(try graticule(name, "--help").status == 0)
        }
        #expect(try graticule("--version").output.contains("graticule"))
    }

    private static let inputs = ["train", "--slides", "x", "--heatmaps", "y", "--output", "z"]

    @Test(arguments: [
        (["segment"], "Give at least one slide or folder."),
        (
            ["train", "--slides", "x", "--output", "z"],
            "Give --counts, --heatmaps or both: there must be labels to learn from."
        ),
        (["evaluate", "x", "--model", "y", "--score", "middle"], "--score must be centre or disc, not 'middle'."),
        (["nothing"], "Unexpected argument 'nothing'"),
        (["priors", "--output", "x"], "Give one of --slides, --counts, --results, --masks, --intervals or --show."),
        (["phantom", "--output", "x", "--size", "3"], "--size must be between 500 and 200000 pixels."),
        (
            ["segment", "x", "--model", "m", "--results", "r", "--threshold", "2"],
            "--threshold must be between 0 and 1."
        ),
        (
            inputs + ["--criterion", "magic"],
            "--criterion must be one of sr, kl, l2, l1, interval, soft, hard, em, qr, rq, hr, hr+sr."
        ),
        (inputs + ["--masks", "m"], "--masks and --fine-fraction are for --criterion hr and hr+sr."),
        (inputs + ["--fine-fraction", "0.5"], "--masks and --fine-fraction are for --criterion hr and hr+sr."),
        (inputs + ["--interval-radius", "0.1"], "--interval-radius is for --criterion interval."),
        (
            inputs + ["--criterion", "l2", "--log-weight", "0.5"],
            "--log-weight, --log-ramp and --cluster-pixels are for statistics matching, which is no part of l2."
        ),
        (
            inputs + ["--criterion", "soft", "--epsilon", "0.01"],
            "--epsilon is for statistics matching and kl, not for soft."
        ),
        (
            ["priors", "--show", "x", "--counts", "y"],
            "Give one of --slides, --counts, --results, --masks, --intervals or --show."
        ),
    ]) func wrongUsageIsStatusTwo(arguments: [String], wanted: String) throws {
        let outcome = try Subprocess.run(Subprocess.graticule, arguments)
        #expect(outcome.status == 2)
        #expect(outcome.errors.split(separator: "\n").first.map(String.init) == "Error: \(wanted)")
    }

    @Test func aPartOfASlurmArrayIsNeverGuessed() throws {
        try TestFolders.withTemporary { folder in
            let model = folder.appendingPathComponent("model")
            try #require(try train(model).status == 0)
            let results = folder.appendingPathComponent("r.sqlite").path
            let command = ["segment", phantom, "--model", model.path, "--results", results]
            let array = ["SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1"]
            let guessed = try Subprocess.run(Subprocess.graticule, command, environment: array)
            #expect(guessed.status == 1)
            #expect(
                guessed.errors
                    == "error: this is task 3 of a Slurm array with 2 slides and no part: say which one with "
                    + "--shard $SLURM_ARRAY_TASK_ID/N, where N is the number of parts whichever tasks are submitted again\n"
            )
            let told = try Subprocess.run(Subprocess.graticule, command + ["--shard", "2/2"], environment: array)
            #expect(told.status == 0 && told.output.contains("1 of 1 slides done"))
        }
    }

    @Test func noCommandWritesOverItsInput() throws {
        try TestFolders.withTemporary { folder in
            let model = folder.appendingPathComponent("model")
            try #require(try train(model).status == 0)
            let slide = folder.appendingPathComponent("phantom-2.svs")
            try FileManager.default.copyItem(atPath: "\(phantom)/phantom-2.svs", toPath: slide.path)
            let results = folder.appendingPathComponent("r.sqlite")
            try #require(
                try graticule("segment", slide.path, "--model", model.path, "--results", results.path).status == 0)
            let counts = folder.appendingPathComponent("c.csv")
            try Data("class,lymphocytes\n0,1\n".utf8).write(to: counts)
            let heatmap = folder.appendingPathComponent("prediction-phantom-2")
            try FileManager.default.copyItem(atPath: "\(phantom)/heatmaps/prediction-phantom-2", toPath: heatmap.path)
            let link = folder.appendingPathComponent("link.csv")
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: slide)
            let export = ["export", results.path, "--slide", "phantom-2", "--format", "csv", "--output"]
            for (command, input) in [
                (export + [results.path], results), (export + [slide.path], slide), (export + [link.path], slide),
                (export + ["\(folder.path)/./model/../r.sqlite"], results),
                (["priors", "--counts", counts.path, "--output", counts.path], counts),
                (["import-heatmap", heatmap.path, "--slide", slide.path, "--output", heatmap.path], heatmap),
                (["segment", slide.path, "--model", model.path, "--results", slide.path], slide),
            ] {
                let before = try Data(contentsOf: input)
                let outcome = try Subprocess.run(Subprocess.graticule, command)
                #expect(
                    outcome.status == 1 && outcome.errors.contains("would be replaced"), "\(command): \(outcome.errors)"
                )
                #expect(try Data(contentsOf: input) == before)
            }
        }
    }

    @Test func aTrainingThatCannotWorkSaysSo() throws {
        try TestFolders.withTemporary { folder in
            let heatmaps = folder.appendingPathComponent("heatmaps")
            try FileManager.default.createDirectory(at: heatmaps, withIntermediateDirectories: true)
            let text = try String(contentsOfFile: "\(phantom)/heatmaps/prediction-phantom-1", encoding: .utf8)
            let same = text.split(separator: "\n").map { line in
                let fields = line.split(separator: " ")
                return "\(fields[0]) \(fields[1]) 0.55 0"
            }
            try Data(same.joined(separator: "\n").utf8).write(
                to: heatmaps.appendingPathComponent("prediction-phantom-1"))
            let outcome = try graticule(
                "train", "--slides", phantom, "--heatmaps", heatmaps.path, "--output",
                folder.appendingPathComponent("m").path, "--steps", "2", "--widths", "4,6", "--members", "1", "--only",
                "phantom-1")
            #expect(outcome.status == 3)
            #expect(
                outcome.errors.split(separator: "\n").last
                    == "warning: all regions and squares are of class 5: a network learns from differences between classes; add slides with others"
            )
        }
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
            #expect(text.contains("fineLabels") && text.contains("statisticsMatching"))
        }
    }

    @Test func aStudyWithoutItsDataSaysWhatIsMissing() throws {
        let outcome = try Subprocess.run(
            TestFolders.root.appendingPathComponent(".build/release/graticule-study").path,
            ["lymphocytes", "--data", phantom, "--output", "/nonexistent/x"])
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
            try fails(["segment", slide, "--model", model.path, "--results", "\(results.path)2"], "inputEncoding")
            for (before, after, wanted) in [
                ("\"threshold\"", "\"treshold\"", "is no model description of this version: 'treshold' is not known"),
                ("\"steps\" : ", "\"steps\" : \"x\", \"steps2\" : ", "steps' has a value of another kind"),
                ("\"temperature\" : ", "\"temperature\" : -", "'temperature' has an impossible value"),
                (
                    "\"micronsPerPixel\" : 0.5", "\"micronsPerPixel\" : 50",
                    "'micronsPerPixel' is 50.0: between 0.05 and 5.0"
                ),
            ] {
                #expect(text.contains(before))
                try Data(text.replacingOccurrences(of: before, with: after).utf8).write(to: description)
                try fails(["segment", slide, "--model", model.path, "--results", "\(results.path)2"], wanted)
            }
            try Data(text.prefix(text.count / 2).utf8).write(to: description)
            try fails(["segment", slide, "--model", model.path, "--results", "\(results.path)2"], "cut off")
            try Data(text.utf8).write(to: description)
            try fails(
                ["segment", slide, "--model", model.path, "--results", "\(results.path)2", "--heatmaps", "/nowhere"],
                "there is no folder of heatmaps at /nowhere")
            let pipe = folder.appendingPathComponent("pipe").path
            #expect(mkfifo(pipe, 0o600) == 0)
            for command in [
                ["query", pipe, "SELECT 1"], ["segment", slide, "--model", model.path, "--results", pipe],
                ["export", pipe, "--slide", "x", "--format", "csv", "--output", "\(folder.path)/x.csv"],
            ] { try fails(command, "is no regular file") }
            // A scale that the slide states itself is taken, and that is said.
            let scaled = try graticule(
                "segment", slide, "--model", model.path, "--results", "\(results.path)2", "--mpp", "0.25")
            #expect(
                scaled.status == 0
                    && (scaled.output + scaled.errors).contains(
                        "it says itself that its pixels have 0.5 µm: --mpp 0.25 is not used")
            )
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
            // So small a network learns hardly anything, and 3 says so.
            try #require([0, 3].contains(try train(whole, steps: 120).status))
            let checkpoint = killed.appendingPathComponent("checkpoint.safetensors")
            let outcome = try Subprocess.run(
                Subprocess.graticule,
                [
                    "train", "--slides", phantom, "--heatmaps", "\(phantom)/heatmaps", "--output", killed.path,
                    "--steps", "120", "--widths", "4,6", "--members", "1", "--no-self-training", "--only", "phantom-1",
                ], killWhen: { FileManager.default.fileExists(atPath: checkpoint.path) })
            #expect(outcome.wasKilled && outcome.status == SIGKILL, "it was killed before its end")
            #expect(FileManager.default.fileExists(atPath: checkpoint.path), "there is something to go on from")
            #expect(!FileManager.default.fileExists(atPath: killed.appendingPathComponent("model.json").path))
            let before = try String(contentsOf: killed.appendingPathComponent("metrics.csv"), encoding: .utf8)
            #expect(before.split(separator: "\n").count > 1 && before.split(separator: "\n").count < 121)
            try #require([0, 3].contains(try train(killed, steps: 120, arguments: ["--resume"]).status))
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
            func command(_ file: String) -> [String] {
                [
                    "segment", "\(phantom)/phantom-1.svs", "\(phantom)/phantom-2.svs", "--model", model.path,
                    "--results", folder.appendingPathComponent(file).path, "--tile", "64", "--threshold", "0.3",
                ]
            }
            func segment(_ file: String) throws -> Int32 {
                try Subprocess.run(Subprocess.graticule, command(file)).status
            }
            func killedSegmentation(
                into file: String, when isTime: @escaping (_ storedRows: Int) -> Bool
            ) throws -> Subprocess.Outcome {
                let results = folder.appendingPathComponent(file)
                return try Subprocess.run(
                    Subprocess.graticule, command(file),
                    killWhen: {
                        guard FileManager.default.fileExists(atPath: results.path),
                            let store = try? ResultStore(readOnly: results)
                        else { return false }
                        var rows = 0
                        try? store.query("SELECT COALESCE(SUM(next_tile_row), 0) FROM run") { _, values in
                            if case .integer(let count)? = values?.first { rows = Int(count) }
                        }
                        return isTime(rows)
                    })
            }
            try #require(try segment("a.sqlite") == 0)
            // Killed as soon as more tile rows are stored than before, three times.
            var stored = 0
            for _ in 0..<3 {
                let outcome = try killedSegmentation(into: "b.sqlite") { rows in
                    defer { stored = max(stored, rows) }
                    return rows > stored
                }
                #expect(outcome.wasKilled, "it was killed before its end")
            }
            #expect(stored > 0, "there is something to go on from")
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
