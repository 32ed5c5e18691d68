public import Failures
public import Foundation

#if canImport(Glibc)
    internal import Glibc
#endif

/// Files that are whole or absent: written under a temporary name in the same folder, then renamed.
public enum AtomicFile {
    /// This machine: several may write into one folder.
    private static let host = String(
        ProcessInfo.processInfo.hostName.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") ? $0 : "_" }
            .prefix(64))

    /// A name beside `url` that no other process uses. What killed processes of this machine left for `url` is removed.
    public static func temporaryName(for url: URL) -> URL {
        removeLeftovers(of: url)
        return url.deletingLastPathComponent().appendingPathComponent(
            "\(stem(of: url))\(ProcessInfo.processInfo.processIdentifier).part")
    }

    private static func stem(of url: URL) -> String { ".\(url.lastPathComponent).\(host)." }

    /// Removes temporary files of `url` whose process is gone; one that runs keeps its own.
    private static func removeLeftovers(of url: URL) {
        let folder = url.deletingLastPathComponent()
        let (stem, names) = (stem(of: url), try? FileManager.default.contentsOfDirectory(atPath: folder.path))
        for name in names ?? [] where name.hasPrefix(stem) {
            let rest = name.dropFirst(stem.count).split(separator: ".", maxSplits: 1)
            guard rest.count == 2, rest[1].hasPrefix("part"), let process = Int32(rest[0]), process > 0,
                kill(process, 0) != 0, errno == ESRCH
            else { continue }
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
        }
    }

    /// Moves a finished file into its place, replacing what was there.
    public static func rename(_ written: URL, to url: URL) throws(RasterError) {
        if Foundation.rename(written.path, url.path) != 0 {
            let reason = String(cString: strerror(errno))
            try? FileManager.default.removeItem(at: written)
            throw RasterError(.unwritable, "cannot write \(url.path): \(reason)")
        }
    }

    /// Writes text or data at once.
    public static func write(_ data: Data, to url: URL) throws(RasterError) {
        let written = temporaryName(for: url)
        do {
            try data.write(to: written)
        } catch {
            try? FileManager.default.removeItem(at: written)
            throw RasterError(.unwritable, "cannot write \(url.path): \(FileFailure.reason(error))", cause: error)
        }
        try rename(written, to: url)
    }
}

/// The plain reason behind a Foundation file error.
public enum FileFailure {
    public static func reason(_ error: any Error) -> String {
        let error = error as NSError
        if let underlying = error.userInfo[NSUnderlyingErrorKey] as? NSError, underlying.domain == NSPOSIXErrorDomain {
            return String(cString: strerror(Int32(underlying.code)))
        }
        if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(error.code))) }
        return switch CocoaError.Code(rawValue: error.code) {
        case .fileNoSuchFile, .fileReadNoSuchFile: "no such file"
        case .fileReadNoPermission, .fileWriteNoPermission: "permission denied"
        case .fileWriteOutOfSpace: "no space left on device"
        case .fileWriteVolumeReadOnly: "read-only file system"
        default: error.localizedDescription
        }
    }
}
