public import Failures
internal import Foundation
internal import Raster

extension Slide {
    /// A name for the slide's content, the same for every copy: results are known by it, not by the file's name.
    ///
    /// It is made of OpenSlide's quickhash-1 (which covers the files that belong to a slide, but of most formats only the
    /// lowest level) where there is one, of the file's size, and of its bytes: all of a small file, of a large one the
    /// beginning, the end, and blocks between.
    ///
    /// - Throws: ``SlideError`` where the file cannot be read.
    public func contentIdentity() throws(SlideError) -> String {
        let quick = properties["openslide.quickhash-1"].map { String($0.prefix(32)) } ?? "none"
        return try "\(quick)-\(Slide.fingerprint(url))"
    }

    /// Files up to this size are read whole, which takes a few hundredths of a second.
    private static let smallBytes = 16 << 20
    /// Of larger ones so much at either end, and so many blocks between.
    private static let endBytes = 64 << 10
    private static let blockBytes = 4 << 10
    private static let blocks = 256

    private static func fingerprint(_ url: URL) throws(SlideError) -> String {
        do {
            let file = try FileHandle(forReadingFrom: url)
            defer { try? file.close() }
            let size = Int(try file.seekToEnd())
            var fingerprint = Fingerprint()
            func add(_ offset: Int, _ count: Int) throws {
                try file.seek(toOffset: UInt64(offset))
                var left = count
                while left > 0, let bytes = try file.read(upToCount: min(left, 1 << 20)), !bytes.isEmpty {
                    bytes.withUnsafeBytes { fingerprint.add($0) }
                    left -= bytes.count
                }
            }
            if size <= smallBytes {
                try add(0, size)
            } else {
                try add(0, endBytes)
                for block in 1...blocks { try add(size / (blocks + 2) * block, blockBytes) }
                try add(size - endBytes, endBytes)
            }
            return "\(size)-\(fingerprint.text)"
        } catch {
            throw SlideError(.unreadable, "cannot read slide \(url.path)", detail: FileFailure.reason(error))
        }
    }

    /// Checks that the file is still the one that was opened, before what was read of it is kept.
    ///
    /// - Parameter identity: of the slide when it was opened: a copy over itself changes the file's date, not the slide.
    /// - Throws: ``SlideError`` of code `changed` where it is gone or another one.
    public func checkUnchanged(identity: String) throws(SlideError) {
        guard let now = FileStamp(url) else {
            throw SlideError(.changed, "slide \(url.path) was removed while it was read: put it back and run again")
        }
        guard now != stamp else { return }
        if let fresh = try? Slide(url), let found = try? fresh.contentIdentity(), found == identity { return }
        throw SlideError(
            .changed, "slide \(url.path) was changed or replaced while it was read: run again, and it is read anew")
    }
}
