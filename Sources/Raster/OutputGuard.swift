public import Failures
public import Foundation

/// The one rule for what commands write: no output over an input.
public enum OutputGuard {
    /// Checks that writing a file replaces nothing that the command reads, nor what it surely did not make: a results file, or
    /// a scanner's slide.
    ///
    /// Files are compared as the system knows them, so that links and other spellings of a path are seen through.
    ///
    /// - Parameters:
    ///   - inputs: files that are read; of a folder the files directly in it.
    ///   - isResults: whether the output is a results file that is added to.
    /// - Throws: ``RasterError`` that names the file.
    public static func check(_ output: URL, inputs: [URL], isResults: Bool = false) throws(RasterError) {
        try checkPlace(output)
        guard let target = Identity(output) else { return }
        for input in inputs {
            var files = [input]
            var isFolder: ObjCBool = false
            if FileManager.default.fileExists(atPath: input.path, isDirectory: &isFolder), isFolder.boolValue {
                let names = (try? FileManager.default.contentsOfDirectory(atPath: input.path)) ?? []
                files += names.map { input.appendingPathComponent($0) }
            } else {
                // What SQLite keeps beside a database belongs to it.
                files += ["-wal", "-shm", "-journal"].map { URL(fileURLWithPath: input.path + $0) }
            }
            for file in files where Identity(file) == target {
                throw RasterError(
                    .unwritable, "\(output.path) is an input (\(file.path)): it would be replaced; give another output")
            }
        }
        guard !isResults else { return }
        guard !isResultsFile(output) else {
            throw RasterError(
                .unwritable, "\(output.path) is a results file: it would be replaced; give another output")
        }
        guard !slideExtensions.contains(output.pathExtension.lowercased()) else {
            throw RasterError(.unwritable, "\(output.path) is a slide: it would be replaced; give another output")
        }
    }

    /// A device or a pipe would be replaced by a file, or be waited for; a folder is no file.
    private static func checkPlace(_ output: URL) throws(RasterError) {
        var status = stat()
        guard stat(output.path, &status) == 0, status.st_mode & S_IFMT != S_IFREG else { return }
        let isFolder = status.st_mode & S_IFMT == S_IFDIR
        throw RasterError(
            .unwritable,
            "\(output.path) is \(isFolder ? "a folder" : "no regular file"): give the name of a file to write")
    }

    /// Formats of scanners, which nothing here writes.
    private static let slideExtensions: Set<String> = [
        "svs", "ndpi", "mrxs", "scn", "svslide", "bif", "vms", "vmu", "dcm",
    ]

    /// "GRTC" where SQLite keeps a program's own number.
    private static func isResultsFile(_ url: URL) -> Bool {
        guard let handle = FileHandle(forReadingAtPath: url.path) else { return false }
        defer { try? handle.close() }
        guard let header = try? handle.read(upToCount: 72), header.count == 72 else { return false }
        return header.starts(with: Data("SQLite format 3\0".utf8)) && header.suffix(4) == Data("GRTC".utf8)
    }

    /// What tells an existing file, or one that a link leads to.
    private struct Identity: Equatable {
        let device: UInt64
        let inode: UInt64

        init?(_ url: URL) {
            var status = stat()
            guard stat(url.path, &status) == 0 else { return nil }
            (device, inode) = (UInt64(status.st_dev), UInt64(status.st_ino))
        }
    }
}
