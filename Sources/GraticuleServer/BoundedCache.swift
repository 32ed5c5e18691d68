internal import Synchronization

/// Keeps what was used last, up to a total cost.
final class BoundedCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry {
        let value: Value
        let cost: Int
        var used: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var cost = 0
        var clock: UInt64 = 0
    }

    private let mostCost: Int
    private let state = Mutex(State())

    init(mostCost: Int) {
        self.mostCost = mostCost
    }

    subscript(key: Key) -> Value? {
        state.withLock { state in
            state.clock += 1
            state.entries[key]?.used = state.clock
            return state.entries[key]?.value
        }
    }

    func insert(_ value: Value, for key: Key, cost: Int) {
        guard cost <= mostCost else { return }
        state.withLock { state in
            state.clock += 1
            if let old = state.entries[key] { state.cost -= old.cost }
            state.entries[key] = Entry(value: value, cost: cost, used: state.clock)
            state.cost += cost
            guard state.cost > mostCost else { return }
            // A tenth goes at once, so that a full cache is not sorted for every new entry.
            for (key, entry) in state.entries.sorted(by: { $0.value.used < $1.value.used }) {
                guard state.cost > mostCost * 9 / 10 else { break }
                state.entries[key] = nil
                state.cost -= entry.cost
            }
        }
    }
}
