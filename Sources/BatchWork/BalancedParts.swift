/// Parts of a list of inputs that cost about the same, for a cluster.
public enum BalancedParts {
    /// The costliest input first, each to the part that has least so far (longest processing time first): no part costs more than 4/3 of
    /// the best division.
    ///
    /// - Parameter costs: of each input, in any unit.
    /// - Returns: for each part the places of its inputs, in the order of the list; a part may be empty.
    public static func indices(costs: [Double], parts: Int) -> [[Int]] {
        precondition(parts >= 1, "there is a part")
        var lists = [[Int]](repeating: [], count: parts)
        // The part with least so far is at the top of a heap; of equals the first.
        var heap = (0..<parts).map { (cost: 0.0, part: $0) }
        func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].cost, heap[a].part) < (heap[b].cost, heap[b].part) }
        for index in costs.indices.sorted(by: { (costs[$1], $0) < (costs[$0], $1) }) {
            lists[heap[0].part].append(index)
            heap[0].cost += costs[index]
            var place = 0
            while true {
                var least = place
                for child in [2 * place + 1, 2 * place + 2] where child < parts && isBefore(child, least) {
                    least = child
                }
                guard least != place else { break }
                heap.swapAt(place, least)
                place = least
            }
        }
        return lists.map { $0.sorted() }
    }
}
