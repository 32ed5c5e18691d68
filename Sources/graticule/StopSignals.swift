import BatchWork
import Foundation
import Lymphocytes
import Synchronization
import Terminal
import TiledPrediction

/// Turns Ctrl-C and SIGTERM into a request to stop; the second signal ends the process as if the first had not been caught.
final class StopSignals {
    private final class Received: Sendable {
        let number = Mutex<Int32?>(nil)
    }

    private let first = Received()
    private let sources: [any DispatchSourceSignal]

    init(_ request: StopRequest) {
        let first = first
        sources = [SIGINT, SIGTERM].map { signal in
            Foundation.signal(signal, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: signal, queue: .global())
            source.setEventHandler {
                let isFirst = first.number.withLock { number in
                    defer { number = number ?? signal }
                    return number == nil
                }
                guard isFirst else {
                    Foundation.signal(signal, SIG_DFL)
                    raise(signal)
                    return
                }
                request.stop()
                Console.note("\nstopping at the end of the tile rows in work …")
            }
            source.resume()
            return source
        }
    }

    /// The signal that came, if any.
    var received: Int32? { first.number.withLock { $0 } }

    func end() {
        for source in sources { source.cancel() }
        for signal in [SIGINT, SIGTERM] { Foundation.signal(signal, SIG_DFL) }
    }
}
