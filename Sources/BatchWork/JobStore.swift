/// A job as its queue sees it: a list of items that are worked on one after another.
public protocol StoredJob: Sendable {
    var id: Int64 { get }
    /// queued, running, done, done with failures, failed or stopped.
    var status: String { get }
    var message: String? { get }
    var isEnded: Bool { get }
    var items: [JobItem] { get }
}

/// One item of a job.
public struct JobItem: Sendable, Equatable {
    public let name: String
    /// queued, done or failed.
    public let status: String

    public init(name: String, status: String) {
        self.name = name
        self.status = status
    }
}

/// Where jobs are kept, so that they outlive the process that works on them.
public protocol JobStore: Sendable {
    associatedtype Job: StoredJob

    func job(_ id: Int64) throws -> Job
    /// The job to work on next; what ran when the process ended comes first.
    func nextJob() throws -> Job?
    /// Marks a job as running; false where it has ended meanwhile.
    func startJob(_ id: Int64) throws -> Bool
    /// How an item ended; `failure` is nil where it is done, and `note` what is to be said of it then.
    func finishItem(_ name: String, job: Int64, failure: String?, note: String?) throws
    /// Ends a job that has not ended yet; false where it has.
    func endJob(_ id: Int64, status: String, message: String?) throws -> Bool
    /// Puts an ended job back into the queue, for the items that are not done; false where it has not ended or all are.
    func retryJob(_ id: Int64) throws -> Bool
    /// Whether an error is the store's own, as of a full disk: it concerns every item, and may pass.
    func isOfStore(_ error: any Error) -> Bool
}

/// How an item ended, if it did not fail.
public enum JobItemOutcome: Sendable, Equatable {
    case done
    /// Done, with something to be said of it.
    case remarked(String)
    /// Nothing was to be done: it had been done before.
    case wasDone
    /// A stop was asked for before its end.
    case stopped
}

/// Does the items of jobs.
public protocol JobWorker: Sendable {
    associatedtype Store: JobStore
    /// How far an item is.
    associatedtype Report: Sendable
    /// What all items of a job need, such as a model.
    associatedtype Session

    /// What an item is called, in the singular.
    static var itemNoun: String { get }

    func begin(_ job: Store.Job, stop: StopRequest) throws -> Session

    /// Does one item.
    ///
    /// - Parameter report: called now and then on the calling thread.
    /// - Throws: what is wrong with this item; errors of the store itself end the job for now.
    func work(on item: String, in session: Session, report: (Report) -> Void) throws -> JobItemOutcome

    /// Notes that an item failed beside the job, where that is of use.
    func noteFailure(of item: String, reason: String) throws
}
