package import ArgumentParser
internal import Failures
internal import Foundation
internal import Logging

extension ParsableCommand {
    /// Parses and runs; ends the process with the status of its outcome, 2 for usage errors.
    package static func runAsProgram() -> Never {
        // A reader that goes away (graticule query … | head) ends the program quietly.
        signal(SIGPIPE, SIG_DFL)
        do {
            var command = try parseAsRoot()
            try command.run()
            Foundation.exit(0)
        } catch let code as ExitCode {
            Foundation.exit(code.rawValue)
        } catch {
            let status = exitCode(for: error)
            if status == .success {
                print(fullMessage(for: error))
                Foundation.exit(0)
            }
            if status == .validationFailure {
                Console.error(fullMessage(for: error), prefix: "")
                Foundation.exit(2)
            }
            Console.error("\(error)")
            Console.logger.debug("\(explanation(of: error))")
            Foundation.exit(1)
        }
    }
}
