public import BatchWork
internal import Foundation
public import Logging
public import ResultStore
internal import Synchronization
internal import WholeSlide

/// Tells among the shards how far a task is: its note every minute, a copy of its results every ten minutes and at its end.
public final class PlannedTaskReport: Sendable {
    private struct State {
        var note: PlannedTask.Note
        var noted = Date.distantPast
        var published = Date()
    }

    private let task: PlannedTask
    private let store: ResultStore
    private let logger: Logger
    private let areas: [String: Double]
    private let state = Mutex(State(note: PlannedTask.Note()))

    private static let noteSeconds = 60.0
    private static let publishSeconds = 600.0

    public init(_ task: PlannedTask, store: ResultStore, logger: Logger = .silent) {
        self.logger = logger
        self.task = task
        self.store = store
        areas = Dictionary(
            task.slides.map { ($0.file.title, $0.tissueSquareMillimeters) }, uniquingKeysWith: { first, _ in first })
    }

    public func begin() { write(isForced: true) }

    /// Work goes on.
    public func tick() {
        write(isForced: false)
        publishIfDue()
    }

    /// A slide is done, or has failed.
    public func finish(_ result: BatchSegmentation.Result) {
        state.withLock { state in
            if case .done(let outcome) = result, !outcome.wasStopped {
                state.note.slidesDone += 1
                if !outcome.wasDone { state.note.squareMillimetersDone += areas[outcome.slide] ?? 0 }
            }
        }
        write(isForced: true)
        publishIfDue()
    }

    private func publishIfDue() {
        let isDue = state.withLock { state in
            let isDue = Date().timeIntervalSince(state.published) > PlannedTaskReport.publishSeconds
            if isDue { state.published = Date() }
            return isDue
        }
        guard isDue else { return }
        do {
            try task.publish(store)
        } catch {
            // What is full now may be mended by the end.
            logger.warning("\(error)")
        }
    }

    /// The work has failed: what is stored is kept all the same, where that goes.
    public func giveUp() {
        try? task.publish(store)
        state.withLock { $0.note.isEnded = true }
        write(isForced: true)
    }

    /// - Throws: where the results cannot be put among the shards; then they stay on the node's disk.
    public func end() throws {
        state.withLock { $0.note.isEnded = true }
        defer { write(isForced: true) }
        try task.publish(store)
        if let states = try? store.inputStates(), task.slides.allSatisfy({ states.done.contains($0.path) }) {
            task.end()
        }
    }

    private func write(isForced: Bool) {
        let note = state.withLock { state -> PlannedTask.Note? in
            let now = Date()
            guard isForced || now.timeIntervalSince(state.noted) > PlannedTaskReport.noteSeconds else { return nil }
            state.noted = now
            state.note.updated = now
            return state.note
        }
        if let note { task.write(note) }
    }
}
