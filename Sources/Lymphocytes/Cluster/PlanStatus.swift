public import Foundation
internal import ResultStore

/// How far the tasks of a plan are, from what lies among the shards.
public struct PlanStatus: Encodable, Sendable {
    public enum State: String, Encodable, Sendable {
        /// Not begun.
        case waiting
        case running
        /// It has not been heard of for a while, and has not ended.
        case lost
        case done
        /// Ended with slides that failed or are left.
        case incomplete
    }

    public struct Failure: Encodable, Sendable {
        public let task: Int
        public let path: String
        public let reason: String
    }

    public struct Task: Encodable, Sendable {
        public let number: Int
        public let state: State
        public let slides: Int
        public let done: Int
        public let failed: Int
        public let squareMillimeters: Double
        public let squareMillimetersDone: Double
        /// mm² a second since the task began; nil before a slide is done.
        public let rate: Double?
        public let host: String?
        public let job: String?

        /// nil where it is not known.
        public var secondsLeft: Double? {
            guard state == .running, let rate, rate > 0 else { return nil }
            return (squareMillimeters - squareMillimetersDone) / rate
        }
    }

    public let tasks: [Task]
    public let failures: [Failure]
    /// Shards that cannot be read: their slides count as left.
    public let damaged: [String]
    /// Paths of slides that are neither done nor failed.
    public let left: [String]
    /// mm² a second of all running tasks.
    public let rate: Double
    /// Until the last running task ends; nil where it is not known.
    public let secondsLeft: Double?

    public var isComplete: Bool { left.isEmpty && failures.isEmpty }

    /// A task that says nothing for so long is lost, seconds.
    static let silence = 600.0

    /// A slide is done where any shard of the plan's family has it: what failed here may have been done by a plan of what was left.
    public init(of plan: SegmentationPlan, now: Date = Date()) {
        var (tasks, failures, left) = ([Task](), [Failure](), [String]())
        let (all, damaged) = PlanStatus.doneSlides(of: plan)
        self.damaged = damaged
        for number in 1...plan.tasks.count {
            let slides = plan.tasks[number - 1]
            let shard = PlannedTask.shard(of: plan, number: number)
            let states =
                FileManager.default.fileExists(atPath: shard.path)
                ? (try? ResultStore(readOnly: shard).inputStates()) ?? .init() : ResultStore.InputStates()
            let decoder = JSONDecoder()
            decoder.dateDecodingStrategy = .iso8601
            let note = (try? Data(contentsOf: PlannedTask.note(of: plan, number: number)))
                .flatMap { try? decoder.decode(PlannedTask.Note.self, from: $0) }
            let done = slides.filter { all.contains($0.path) }
            let failed = slides.filter { !all.contains($0.path) && states.failed[$0.path] != nil }
            failures += failed.map { Failure(task: number, path: $0.path, reason: states.failed[$0.path] ?? "") }
            left += slides.map(\.path).filter { !all.contains($0) && states.failed[$0] == nil }
            let state: State =
                if done.count == slides.count {
                    .done
                } else if let note {
                    note.isEnded
                        ? .incomplete : now.timeIntervalSince(note.updated) > PlanStatus.silence ? .lost : .running
                } else {
                    .waiting
                }
            let area = { (slides: [SegmentationPlan.PlannedSlide]) in
                slides.reduce(0) { $0 + $1.tissueSquareMillimeters }
            }
            let elapsed = note.map { $0.updated.timeIntervalSince($0.began) } ?? 0
            let isMeasured = (note?.squareMillimetersDone ?? 0) > 0 && elapsed > 0
            tasks.append(
                Task(
                    number: number, state: state, slides: slides.count, done: done.count, failed: failed.count,
                    squareMillimeters: area(slides),
                    squareMillimetersDone: max(area(done), state == .running ? note?.squareMillimetersDone ?? 0 : 0),
                    rate: isMeasured ? (note?.squareMillimetersDone ?? 0) / elapsed : nil, host: note?.host,
                    job: note?.job))
        }
        self.tasks = tasks
        self.failures = failures
        self.left = left
        let running = tasks.filter { $0.state == .running }
        rate = running.compactMap(\.rate).reduce(0, +)
        let seconds = running.map(\.secondsLeft)
        secondsLeft = seconds.contains { $0 == nil } ? nil : seconds.compactMap { $0 }.max()
    }

    private static func doneSlides(of plan: SegmentationPlan) -> (done: Set<String>, damaged: [String]) {
        var (done, damaged) = (Set<String>(), [String]())
        let folder = URL(fileURLWithPath: plan.results)
        for name in ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        where name.hasPrefix("\(plan.family)-") && name.hasSuffix(".sqlite") {
            if let states = try? ResultStore(readOnly: folder.appendingPathComponent(name)).inputStates() {
                done.formUnion(states.done)
            } else {
                damaged.append(name)
            }
        }
        return (done, damaged)
    }
}

extension SegmentationPlan {
    /// What is left of a plan: slides that are not done, those that failed included. What running tasks have is theirs.
    ///
    /// - Parameter tasks: nil for as many as have something left.
    /// - Returns: nil where nothing is left.
    public func remaining(_ status: PlanStatus, tasks count: Int? = nil) -> SegmentationPlan? {
        let running = Set(status.tasks.filter { $0.state == .running }.flatMap { tasks[$0.number - 1].map(\.path) })
        let open = Set(status.left + status.failures.map(\.path)).subtracting(running)
        let slides = slides.filter { open.contains($0.path) }
        guard !slides.isEmpty else { return nil }
        return with(slides: slides, tasks: count ?? tasks.count { $0.contains { open.contains($0.path) } })
    }
}
