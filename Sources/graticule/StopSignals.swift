import Foundation
import TiledPrediction
import Terminal
import Lymphocytes

/// Turns Ctrl-C and SIGTERM into a request to stop; the second signal ends the process as if the first had not been caught.
///
/// `@unchecked Sendable`: the number is read and written under the lock; the sources are not changed after init.
final class StopSignals: @unchecked Sendable {
    private let lock = NSLock()
    private var number: Int32?
    private var sources: [any DispatchSourceSignal] = []

    init(_ request: StopRequest) {
        for signal in [SIGINT, SIGTERM] {
            Foundation.signal(signal, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: signal, queue: .global())
            source.setEventHandler { [weak self] in
                guard let self else { return }
                if lock.withLock({ number != nil }) {
                    Foundation.signal(signal, SIG_DFL)
                    raise(signal)
                }
                lock.withLock { number = signal }
                request.stop()
                Console.note("\nstopping at the end of the tile rows in work …")
            }
            source.resume()
            sources.append(source)
        }
    }

    /// The signal that came, if any.
    var received: Int32? { lock.withLock { number } }

    func end() {
        for source in sources { source.cancel() }
        for signal in [SIGINT, SIGTERM] { Foundation.signal(signal, SIG_DFL) }
    }
}
