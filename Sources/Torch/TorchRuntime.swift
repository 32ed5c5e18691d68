internal import CTorch
public import Foundation

/// Process-wide settings of libtorch.
public enum TorchRuntime {
    /// The version of the libtorch that this program was built against.
    public static var version: String { String(cString: ctorch_version()) }

    /// The number of threads that one tensor operation may use.
    public static var threads: Int {
        get { Int(ctorch_threads()) }
        set { ctorch_set_threads(Int32(clamping: max(1, newValue))) }
    }

    /// Lets the process keep freed memory for the next tensor of the same size.
    ///
    /// The buffers of a step are tens of megabytes, which glibc maps and unmaps one by one by default; paging them in anew
    /// took about a tenth of a training step.
    public static func keepBuffers() { ctorch_keep_buffers() }

    /// The CPUs that this process may use: the Slurm allocation if there is one, else the scheduler affinity.
    ///
    /// A cluster node has many more cores than a job is given; one thread a physical core of the node would make
    /// every job on it slower.
    public static func availableProcessors(environment: [String: String] = ProcessInfo.processInfo.environment) -> Int {
        let allowed = max(1, Int(ctorch_allowed_processors()))
        if let text = environment["SLURM_CPUS_PER_TASK"], let slurm = Int(text), slurm > 0 {
            return min(slurm, allowed)
        }
        if let text = environment["OMP_NUM_THREADS"], let limit = Int(text), limit > 0 {
            return min(limit, allowed)
        }
        return allowed
    }
}
