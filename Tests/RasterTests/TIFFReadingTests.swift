import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import Raster

struct TIFFReadingTests {
    /// A baseline TIFF by hand: 3×2 grey pixels in one strip, little-endian.
    private func file(width: UInt32, bits: UInt32 = 8, orientation: UInt32 = 1, pixels: [UInt8]) -> Data {
        var data = Data([0x49, 0x49, 42, 0, 8, 0, 0, 0])
        let entries: [(tag: UInt16, type: UInt16, value: UInt32)] = [
            (256, 4, width), (257, 4, 2), (258, 3, bits), (259, 3, 1), (262, 3, 1), (273, 4, 146),
            (274, 3, orientation), (277, 3, 1),
            (278, 4, 2), (279, 4, UInt32(pixels.count)), (284, 3, 1),
        ]
        func append<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
        }
        append(UInt16(entries.count))
        for entry in entries {
            append(entry.tag)
            append(entry.type)
            append(UInt32(1))
            append(entry.value)
        }
        append(UInt32(0))
        data.append(contentsOf: pixels)
        return data
    }

    @Test func greyPixelsAreReadFromTheTopLeft() throws {
        try TestFolders.withTemporary { folder in
            let url = folder.appendingPathComponent("mask.tif")
            try file(width: 3, pixels: [0, 1, 255, 7, 0, 9]).write(to: url)
            let plane = try TIFF.readGray(url)
            #expect(plane.width == 3 && plane.height == 2)
            #expect(plane.values == [0, 1, 255, 7, 0, 9])
        }
    }

    /// libtiff turns within strips and tiles, so that what is read is neither the one nor the other.
    @Test func whatIsStoredTurnedIsRefused() throws {
        try TestFolders.withTemporary { folder in
            let url = folder.appendingPathComponent("mask.tif")
            for orientation in 2...8 {
                try file(width: 3, orientation: UInt32(orientation), pixels: [0, 1, 255, 7, 0, 9]).write(to: url)
                let error = try #require(throws: RasterError.self) { try TIFF.readGray(url) }
                #expect(
                    error.message
                        == "cannot read TIFF \(url.path): it is stored turned or mirrored (orientation \(orientation)): save it upright"
                )
                #expect(TIFF.pages(url).map(\.orientation) == [orientation])
            }
        }
    }

    @Test func whatIsNoFileIsNotWaitedFor() throws {
        try TestFolders.withTemporary { folder in
            let pipe = folder.appendingPathComponent("pipe")
            #expect(mkfifo(pipe.path, 0o600) == 0)
            let wanted = "cannot read \(pipe.path): it is no regular file"
            #expect(try #require(throws: RasterError.self) { try TIFF.readGray(pipe) }.message == wanted)
            #expect(try #require(throws: RasterError.self) { try PNG.readRGB(pipe) }.message == wanted)
            #expect(try #require(throws: RasterError.self) { try JPEG.readRGB(pipe) }.message == wanted)
            let output = try #require(throws: RasterError.self) { try OutputGuard.check(pipe, inputs: []) }
            #expect(output.message == "\(pipe.path) is no regular file: give the name of a file to write")
            let place = try #require(throws: RasterError.self) { try OutputGuard.check(folder, inputs: []) }
            #expect(place.message == "\(folder.path) is a folder: give the name of a file to write")
            #expect(throws: RasterError.self) { try OutputGuard.check(URL(fileURLWithPath: "/dev/null"), inputs: []) }
        }
    }

    @Test func brokenAndAbsurdFilesAreRefused() throws {
        try TestFolders.withTemporary { folder in
            let url = folder.appendingPathComponent("mask.tif")
            #expect(throws: RasterError.self) { try TIFF.readGray(url) }
            try Data("no image".utf8).write(to: url)
            #expect(throws: RasterError.self) { try TIFF.readGray(url) }
            try file(width: 1, bits: 16, pixels: [0, 1, 0, 0]).write(to: url)
            #expect(try #require(throws: RasterError.self) { try TIFF.readGray(url) }.message.contains("16 bits"))
            try file(width: 4_000_000_000, pixels: [0, 1]).write(to: url)
            let error = try #require(throws: RasterError.self) { try TIFF.readGray(url) }
            #expect(error.message.contains("too many"))
        }
    }
}
