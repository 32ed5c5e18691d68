public import Failures
public import Foundation

/// A part of a list of inputs, for a cluster: every n-th one, so that the parts are disjoint and together the whole.
public struct Shard: Equatable, Sendable {
    /// From 1 to `count`.
    public let number: Int
    public let count: Int

    init?(number: Int, count: Int) {
        guard count >= 1, (1...count).contains(number), count <= 1_000_000 else { return nil }
        self.number = number
        self.count = count
    }

    /// From `i/n`.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int(parts[0]), let count = Int(parts[1]) else { return nil }
        self.init(number: number, count: count)
    }

    /// Refuses to guess a part: in a Slurm array the number of tasks is that of the tasks which were submitted together, so
    /// that `sbatch --array=3` after `--array=1-4` would take all inputs, and `--array=1,4` halves.
    ///
    /// - Parameters:
    ///   - inputs: how many were given; a task with an input of its own needs no part.
    ///   - noun: what they are called.
    /// - Throws: ``InputError`` within an array, where several are given and no part.
    public static func refuseGuessing(
        inputs: Int, noun: String, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(InputError) {
        guard inputs > 1, let task = environment["SLURM_ARRAY_TASK_ID"] else { return }
        throw InputError(
            .unusable,
            "this is task \(task) of a Slurm array with \(inputs) \(noun) and no part: say which one with "
                + "--shard $SLURM_ARRAY_TASK_ID/N, where N is the number of parts whichever tasks are submitted again")
    }

    public func part<Element>(of list: [Element]) -> [Element] {
        stride(from: number - 1, to: list.count, by: count).map { list[$0] }
    }
}
