import Foundation
import ResultStore

// Answers one SQL query on standard input, in JSON on standard output: the service starts one of these for each query, with
// limits that the system enforces, and kills it at the deadline. Whatever a query does, it costs only this process.
let input = FileHandle.standardInput.readDataToEndOfFile()
let (output, status) = QueryWorker.answer(input)
FileHandle.standardOutput.write(output)
exit(status)
