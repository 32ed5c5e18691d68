import BatchWork
import Failures
import Foundation
import GraticuleTesting
import LabelSuperResolution
import ResultStore
import Testing
import WholeSlide

@testable import Lymphocytes

struct PlanTests {
    @Test func partsCostAboutTheSame() {
        var generator = SeededGenerator(seed: 3)
        for (count, parts) in [(1, 1), (7, 3), (200, 9), (5, 5)] {
            let costs = (0..<count).map { _ in Double.random(in: 1...40, using: &generator) }
            let lists = BalancedParts.indices(costs: costs, parts: parts)
            #expect(lists.flatMap { $0 }.sorted() == Array(0..<count), "each once")
            let sums = lists.map { $0.reduce(0) { $0 + costs[$1] } }
            // No division is better than the mean, nor than the costliest.
            let best = max(costs.reduce(0, +) / Double(parts), costs.max() ?? 0)
            #expect((sums.max() ?? 0) <= 4.0 / 3 * best + 1e-9)
        }
        #expect(BalancedParts.indices(costs: [1, 100, 1, 1], parts: 2) == [[1], [0, 2, 3]], "a slow one alone")
    }

    private func slide(_ path: String, mm2: Double, seconds: Double) -> SegmentationPlan.PlannedSlide {
        SegmentationPlan.PlannedSlide(
            path: path, subfolder: "", sharesName: false, tissueSquareMillimeters: mm2, threadSeconds: seconds)
    }

    @Test func aPlanIsReadAsItWasWritten() throws {
        try TestFolders.withTemporary { folder in
            let plan = SegmentationPlan(
                slides: [slide("/s/a.svs", mm2: 4, seconds: 9), slide("/s/b.svs", mm2: 1, seconds: 3)],
                unusable: [.init(path: "/s/c.svs", reason: "it is cut off")],
                model: folder, fingerprint: "f", options: .init(precision: "int8"), results: folder, tasks: 9)
            #expect(plan.tasks.count == 2, "no task without a slide")
            let file = folder.appendingPathComponent("plan.json")
            try plan.write(to: file)
            #expect(try SegmentationPlan(contentsOf: file) == plan)
            for (text, words) in [
                ("", "no plan"), ("{}", "no plan"), (#"{"format": 7}"#, "format 7"), (#"{"format": 1}"#, "incomplete"),
            ] {
                try Data(text.utf8).write(to: file)
                let error = #expect(throws: InputError.self) { try SegmentationPlan(contentsOf: file) }
                #expect(error?.message.contains(words) == true, "\(text): \(error?.message ?? "")")
            }
            #expect(throws: InputError.self) { try PlannedTask(plan, number: 3, scratch: folder) }
        }
    }

    /// Two tasks, one of them cut off and given again elsewhere, a slide that fails: the shards together are one process, and the
    /// status tells each.
    @Test func tasksTogetherAreOneProcess() throws {
        try TestFolders.withTemporary { folder in
            let model = try PhantomFixture.darknessModel(folder: folder)
            let slides = folder.appendingPathComponent("slides")
            try FileManager.default.createDirectory(at: slides, withIntermediateDirectories: true)
            for name in ["phantom-1.svs", "phantom-2.svs"] {
                try FileManager.default.copyItem(
                    at: PhantomFixture.folder.appendingPathComponent(name), to: slides.appendingPathComponent(name))
            }
            let files = SlideFolder.contents(of: [slides]).slides
            let planned = try files.map {
                try SegmentationPlan.PlannedSlide(
                    $0, givenScale: nil, tissue: .automatic, micronsPerPixel: model.micronsPerPixel)
            }
            #expect(planned.allSatisfy { $0.tissueSquareMillimeters > 0.01 && $0.threadSeconds > 2 })
            let plan = SegmentationPlan(
                slides: planned, unusable: [], model: model.folder, fingerprint: model.fingerprint,
                options: .init(precision: "fp32"), results: folder.appendingPathComponent("shards"), tasks: 2)
            #expect(PlanStatus(of: plan).tasks.map(\.state) == [.waiting, .waiting])

            func attempt(_ plan: SegmentationPlan, _ number: Int, on node: String) throws {
                let task = try PlannedTask(plan, number: number, scratch: folder.appendingPathComponent(node))
                try task.begin()
                let segmenter = SlideSegmenter(
                    model: model, store: try ResultStore(task.working), settings: SegmentationSettings())
                let report = PlannedTaskReport(task, store: segmenter.store)
                report.begin()
                _ = try BatchSegmentation(segmenter: segmenter, workers: 1).run(
                    task.slides.map(\.file), progress: { _ in report.tick() }, finished: { report.finish($0) })
                try report.end()
            }
            // The second task's slide is away.
            let away = URL(fileURLWithPath: plan.tasks[1][0].path)
            let kept = folder.appendingPathComponent("kept.svs")
            try FileManager.default.moveItem(at: away, to: kept)
            try attempt(plan, 1, on: "node-a")
            try attempt(plan, 2, on: "node-b")
            let status = PlanStatus(of: plan)
            #expect(status.tasks.map(\.state) == [.done, .incomplete])
            #expect(
                status.failures.map(\.path) == [away.path] && status.failures[0].reason.contains(away.lastPathComponent)
            )
            #expect(status.left.isEmpty && !status.isComplete)
            // What is left of the plan goes into the same folder, and counts.
            try FileManager.default.moveItem(at: kept, to: away)
            let rest = try #require(plan.remaining(status))
            #expect(rest.slides == plan.tasks[1] && rest.name != plan.name && rest.tasks.count == 1)
            try attempt(rest, 1, on: "node-c")
            #expect(PlanStatus(of: plan).isComplete)
            #expect(plan.remaining(PlanStatus(of: plan)) == nil)
            // Given again elsewhere, a task has what it had stored, and does nothing twice.
            try attempt(plan, 1, on: "node-d")
            // A node that is behind, with a file of an earlier attempt, takes nothing away.
            let behind = try PlannedTask(plan, number: 1, scratch: folder.appendingPathComponent("node-e"))
            let stale = try ResultStore(behind.working)
            _ = try SlideSegmenter(model: model, store: stale, settings: SegmentationSettings()).registerModel()
            try behind.publish(stale)
            #expect(PlanStatus(of: plan).isComplete)
            // Another model's plan of the same slides and folder has nothing done.
            let other = SegmentationPlan(
                slides: planned, unusable: [], model: model.folder, fingerprint: "other",
                options: .init(precision: "fp32"), results: folder.appendingPathComponent("shards"), tasks: 2)
            #expect(PlanStatus(of: other).left.count == 2)

            let whole = SlideSegmenter(
                model: model, store: try ResultStore(folder.appendingPathComponent("whole.sqlite")),
                settings: SegmentationSettings())
            _ = try BatchSegmentation(segmenter: whole, workers: 1).run(files, progress: { _ in }, finished: { _ in })
            let merged = try ResultStore(folder.appendingPathComponent("merged.sqlite"))
            let shards = try FileManager.default.contentsOfDirectory(atPath: plan.results).filter {
                $0.hasSuffix(".sqlite")
            }.sorted()
            #expect(shards.count == 3)
            for shard in shards {
                _ = try merged.merge(URL(fileURLWithPath: plan.results).appendingPathComponent(shard))
            }
            #expect(try merged.inputStates().failed.isEmpty, "what failed first is done by now")
            #expect(try sums(merged) == sums(whole.store))
            let left = try FileManager.default.contentsOfDirectory(
                atPath: folder.appendingPathComponent("node-a").path)
            #expect(left.isEmpty, "a task that is done leaves nothing on its node")
        }
    }

    @Test func aTaskThatSaysNothingIsLost() throws {
        try TestFolders.withTemporary { folder in
            let plan = SegmentationPlan(
                slides: [slide("/s/a.svs", mm2: 4, seconds: 9)], unusable: [], model: folder, fingerprint: "f",
                options: .init(precision: "int8"), results: folder, tasks: 1)
            let task = try PlannedTask(plan, number: 1, scratch: folder)
            var note = PlannedTask.Note(environment: ["SLURM_JOB_ID": "17"])
            note.squareMillimetersDone = 2
            note.began = note.updated.addingTimeInterval(-100)
            task.write(note)
            let running = PlanStatus(of: plan, now: note.updated.addingTimeInterval(5)).tasks[0]
            #expect(running.state == .running && running.job == "17")
            #expect(abs((running.rate ?? 0) - 0.02) < 1e-3 && abs((running.secondsLeft ?? 0) - 100) < 2)
            let later = note.updated.addingTimeInterval(PlanStatus.silence + 5)
            #expect(PlanStatus(of: plan, now: later).tasks[0].state == .lost)
        }
    }

    private func sums(_ store: ResultStore) throws -> [[ResultStore.Value]] {
        var rows: [[ResultStore.Value]] = []
        try store.query(
            """
            SELECT slide.name, COUNT(*), SUM(cell.area_um2), SUM(cell.centroid_x) FROM cell JOIN run ON run.id = cell.run_id
            JOIN slide ON slide.id = run.slide_id GROUP BY slide.name ORDER BY slide.name
            """
        ) { _, values in if let values { rows.append(values) } }
        return rows
    }
}
