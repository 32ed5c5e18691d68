internal import Failures
internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import LabelSuperResolution
internal import Logging
internal import NIOCore
internal import Raster

/// An encoded image or file with what a browser needs to keep it.
struct EncodedImage: Sendable {
    let data: ByteBuffer
    let type: String
    let tag: String

    init(_ data: Data, type: String) {
        var fingerprint = Fingerprint()
        fingerprint.add(data)
        self.data = ByteBuffer(bytes: data)
        self.type = type
        tag = "\"\(fingerprint.text)\""
    }

    /// The answer to a request, or that the browser has it already.
    func response(to request: Request, cacheControl: String) -> Response {
        let headers: HTTPFields = [.eTag: tag, .cacheControl: cacheControl, .contentType: type]
        if let known = request.headers[.ifNoneMatch], known.contains(tag) {
            return Response(status: .notModified, headers: headers)
        }
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: data))
    }
}

/// The viewer's files, read once: a request can name these and no other.
struct PageFiles: Sendable {
    private let files: [String: EncodedImage]
    /// For an address at which there is nothing.
    let missing: EncodedImage

    private static let types = [
        "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml", "png": "image/png", "json": "application/json; charset=utf-8",
    ]
    /// Debian's libjs-leaflet, and where Fedora and Arch have it.
    private static let leafletFolders = ["/usr/share/javascript/leaflet", "/usr/share/leaflet"]

    init() throws {
        var files: [String: EncodedImage] = [:]
        let folder = Bundle.module.bundleURL.appendingPathComponent("Viewer")
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            guard let type = PageFiles.types[(name as NSString).pathExtension] else { continue }
            files[name] = EncodedImage(try Data(contentsOf: folder.appendingPathComponent(name)), type: type)
        }
        guard
            let leaflet = PageFiles.leafletFolders.first(where: {
                FileManager.default.fileExists(atPath: "\($0)/leaflet.css")
            })
        else { throw ServiceError(.unable, "Leaflet is not installed: run script/bootstrap (libjs-leaflet)") }
        for name in ["leaflet.esm.js", "leaflet.css"] {
            files[name] = EncodedImage(
                try Data(contentsOf: URL(fileURLWithPath: "\(leaflet)/\(name)")),
                type: name.hasSuffix("css") ? "text/css; charset=utf-8" : "text/javascript; charset=utf-8")
        }
        self.files = files
        missing = files["missing.html"] ?? EncodedImage(Data(), type: "text/plain")
    }

    func file(_ name: String) throws(HTTPError) -> EncodedImage {
        guard let file = files[name] else { throw HTTPError(.notFound, message: "there is no such page") }
        return file
    }
}

extension GraticuleService {
    func addPages(to router: Router<Context>) {
        for (path, file) in [
            ("/", "index"), ("/view/{id}", "slide"), ("/sql", "sql"), ("/evaluations", "evaluations"),
            ("/jobs", "jobs"), ("/count", "count"), ("/models/{model}", "model"),
        ] {
            host.addPage(RouterPath(path), "\(file).html", to: router)
        }
        host.addPage("/api/openapi.json", "openapi.json", to: router)
    }
}
