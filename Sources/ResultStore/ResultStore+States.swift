public import Foundation
internal import GRDB

extension ResultStore {
    /// How far the inputs of a file are.
    public struct InputStates: Sendable {
        /// Paths of slides with a finished run.
        public var done: Set<String> = []
        /// Paths of slides with a run that is begun.
        public var begun: Set<String> = []
        /// The reasons of those that could not be used, by path.
        public var failed: [String: String] = [:]

        public init() {}
    }

    /// What is done, begun and failed, by the paths of the slides.
    public func inputStates() throws(StoreError) -> InputStates {
        try read { db in
            var states = InputStates()
            let rows = try Row.fetchAll(
                db,
                sql:
                    "SELECT slide.path, run.status FROM run JOIN slide ON slide.id = run.slide_id WHERE slide.is_replaced = 0"
            )
            for row in rows {
                if try row.get(1, as: String.self) == "done" {
                    states.done.insert(try row.get(0))
                } else {
                    states.begun.insert(try row.get(0))
                }
            }
            for row in try Row.fetchAll(db, sql: "SELECT path, reason FROM failed_input") {
                states.failed[try row.get(0)] = try row.get(1)
            }
            states.begun.subtract(states.done)
            return states
        }
    }

    /// Writes a copy of the file as it is now, whole and by itself: no log beside it.
    ///
    /// - Parameter target: must not exist.
    public func writeCopy(to target: URL) throws(StoreError) {
        do {
            try database.writeWithoutTransaction { db in
                try db.execute(sql: "VACUUM INTO ?", arguments: [target.path])
            }
        } catch {
            throw StoreError.from(error, path: target.path)
        }
    }
}
