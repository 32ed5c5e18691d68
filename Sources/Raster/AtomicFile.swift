public import Foundation

#if canImport(Glibc)
    internal import Glibc
#endif

/// Files that are whole or absent: written under a temporary name in the same folder, then renamed.
public enum AtomicFile {
    /// A name beside `url` that no other process uses.
    public static func temporaryName(for url: URL) -> URL {
        url.deletingLastPathComponent()
            .appendingPathComponent(".\(url.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).part")
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
            throw RasterError(.unwritable, "cannot write \(url.path): \(FileFailure.reason(error))")
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
