public import Foundation

/// A part of a list of slides, for a cluster: every n-th slide, so that the parts are disjoint and together the whole.
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

    /// The part of a Slurm array job (`sbatch --array`); nil outside one.
    ///
    /// - Throws: ``WorkError`` where Slurm's variables do not make sense together.
    public static func ofSlurmArray(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(WorkError) -> Shard? {
        guard let identifier = environment["SLURM_ARRAY_TASK_ID"], let count = environment["SLURM_ARRAY_TASK_COUNT"]
        else {
            return nil
        }
        // An array may be numbered from any number on, in steps.
        let first = environment["SLURM_ARRAY_TASK_MIN"].flatMap(Int.init) ?? 0
        let step = max(1, environment["SLURM_ARRAY_TASK_STEP"].flatMap(Int.init) ?? 1)
        guard let task = Int(identifier), let total = Int(count),
            let shard = Shard(number: (task - first) / step + 1, count: total)
        else {
            throw WorkError(
                .input,
                "SLURM_ARRAY_TASK_ID \(identifier) and SLURM_ARRAY_TASK_COUNT \(count) name no part: give --shard i/n")
        }
        return shard
    }

    public func part<Element>(of list: [Element]) -> [Element] {
        stride(from: number - 1, to: list.count, by: count).map { list[$0] }
    }
}
