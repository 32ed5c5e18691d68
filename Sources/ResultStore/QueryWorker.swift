internal import Failures
public import Foundation

/// One query for a process of its own, and its answer.
public enum QueryWorker {
    /// What is asked.
    public struct Question: Codable, Sendable {
        /// Of the results file.
        public var path: String
        public var sql: String
        public var seconds: Double

        public init(path: String, sql: String, seconds: Double) {
            self.path = path
            self.sql = sql
            self.seconds = seconds
        }
    }

    /// Why there is no answer.
    public struct Refusal: Codable, Sendable {
        public var message: String
        /// Whether the query is to blame, rather than the file.
        public var isOfQuery: Bool
    }

    /// What a process may take, beyond what SQLite itself is limited to: address space, since the program's own libraries
    /// count, and seconds of the processor.
    private static let mostAddresses: rlim_t = 2 << 30
    private static let spareSeconds: rlim_t = 3

    /// Runs a question under the system's limits, in this process.
    ///
    /// - Returns: the table, or a ``Refusal``, as JSON; and the exit status: 0 for a table, 1 for a refusal.
    public static func answer(_ question: Data) -> (output: Data, status: Int32) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            let asked = try JSONDecoder().decode(Question.self, from: question)
            restrict(seconds: asked.seconds)
            var limits = QuerySandbox.Limits()
            limits.seconds = asked.seconds
            let start = Date()
            let table = try QuerySandbox(URL(fileURLWithPath: asked.path), limits: limits).run(asked.sql)
            let answer = Answer(
                columns: table.columns, rows: table.rows.map { $0.map(Cell.init) }, cutOff: table.isCutOff,
                seconds: Date().timeIntervalSince(start))
            return (try encoder.encode(answer), 0)
        } catch {
            let refusal = Refusal(message: "\(error)", isOfQuery: (error as? StoreError)?.code == .query)
            return ((try? encoder.encode(refusal)) ?? Data(), 1)
        }
    }

    private static func restrict(seconds: Double) {
        func limit(_ resource: __rlimit_resource, _ value: rlim_t) {
            var limit = rlimit(rlim_cur: value, rlim_max: value)
            setrlimit(__rlimit_resource_t(resource.rawValue), &limit)
        }
        limit(RLIMIT_AS, mostAddresses)
        limit(RLIMIT_CPU, rlim_t(max(1, seconds)) + spareSeconds)
        // It writes nothing but its answer, and starts nothing.
        limit(RLIMIT_FSIZE, 1 << 30)
        limit(RLIMIT_CORE, 0)
        // Ends the process where whoever asked is gone, and the work waits rather than computes.
        alarm(UInt32(max(1, seconds)) + UInt32(spareSeconds) + 2)
        limit(RLIMIT_NOFILE, 64)
    }

    private struct Answer: Encodable {
        let columns: [String]
        let rows: [[Cell]]
        let cutOff: Bool
        let seconds: Double
    }

    private struct Cell: Encodable {
        let value: ResultStore.Value

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch value {
            case .null: try container.encodeNil()
            case .integer(let number): try container.encode(number)
            case .real(let number): try container.encode(number)
            case .text(let text): try container.encode(text)
            case .blob(let bytes): try container.encode("(\(bytes.count) bytes)")
            }
        }
    }
}
