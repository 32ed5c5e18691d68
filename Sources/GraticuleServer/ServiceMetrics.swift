internal import CoreMetrics
internal import Foundation
internal import Synchronization

/// Collects what swift-metrics reports and writes it in the text format of Prometheus.
final class ServiceMetrics: MetricsFactory, Sendable {
    /// The process has one; Hummingbird and the routes report to it.
    static let shared = ServiceMetrics()

    private struct Sample {
        var value = 0.0
        var count = 0
    }

    private struct Key: Hashable {
        let name: String
        let labels: String
    }

    private enum Kind: String {
        case counter, gauge, summary
    }

    private struct State {
        var kinds: [String: Kind] = [:]
        var samples: [Key: Sample] = [:]
    }

    private let state = Mutex(State())
    private static let isBootstrapped = Mutex(false)
    /// A client must not fill the memory with label values.
    private static let mostSeries = 2000

    /// Makes it the process's metrics system, once.
    static func bootstrap() {
        isBootstrapped.withLock { done in
            guard !done else { return }
            MetricsSystem.bootstrap(shared)
            done = true
        }
    }

    /// The page `/metrics`.
    var text: String {
        let (kinds, samples) = state.withLock { ($0.kinds, $0.samples) }
        var lines: [String] = []
        for (name, kind) in kinds.sorted(by: { $0.key < $1.key }) {
            lines.append("# TYPE \(name) \(kind.rawValue)")
            for (key, sample) in samples.filter({ $0.key.name == name }).sorted(by: { $0.key.labels < $1.key.labels }) {
                if kind == .summary {
                    lines.append("\(name)_sum\(key.labels) \(sample.value)")
                    lines.append("\(name)_count\(key.labels) \(sample.count)")
                } else {
                    lines.append("\(name)\(key.labels) \(sample.value)")
                }
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func change(_ key: Key, kind: Kind, _ body: (inout Sample) -> Void) {
        state.withLock { state in
            guard state.samples[key] != nil || state.samples.count < ServiceMetrics.mostSeries else { return }
            state.kinds[key.name] = kind
            body(&state.samples[key, default: Sample()])
        }
    }

    private static func key(_ label: String, _ dimensions: [(String, String)]) -> Key {
        func clean(_ name: String) -> String {
            String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        }
        let labels = dimensions.map { name, value in
            let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
            return "\(clean(name))=\"\(escaped)\""
        }
        return Key(name: clean(label), labels: labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}")
    }

    // MARK: MetricsFactory

    private final class Series: CounterHandler, FloatingPointCounterHandler, RecorderHandler, TimerHandler, MeterHandler
    {
        private let metrics: ServiceMetrics
        private let key: Key
        private let kind: Kind

        init(_ metrics: ServiceMetrics, _ key: Key, _ kind: Kind) {
            self.metrics = metrics
            self.key = key
            self.kind = kind
        }

        func increment(by amount: Int64) { increment(by: Double(amount)) }
        func increment(by amount: Double) { metrics.change(key, kind: kind) { $0.value += amount } }
        func decrement(by amount: Double) { metrics.change(key, kind: kind) { $0.value -= amount } }
        func set(_ value: Int64) { set(Double(value)) }
        func set(_ value: Double) { metrics.change(key, kind: kind) { $0.value = value } }
        func reset() { metrics.change(key, kind: kind) { $0 = Sample() } }
        func record(_ value: Int64) { record(Double(value)) }
        func record(_ value: Double) {
            metrics.change(key, kind: kind) {
                $0.value += value
                $0.count += 1
            }
        }
        func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        Series(self, ServiceMetrics.key(label, dimensions), .counter)
    }
    func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        Series(self, ServiceMetrics.key(label, dimensions), .counter)
    }
    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        Series(self, ServiceMetrics.key(label, dimensions), .gauge)
    }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        Series(self, ServiceMetrics.key(label, dimensions), .summary)
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        Series(self, ServiceMetrics.key(label + "_seconds", dimensions), .summary)
    }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}
}
