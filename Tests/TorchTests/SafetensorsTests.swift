import Failures
import Foundation
import GraticuleTesting
import Testing

@testable import Torch

struct SafetensorsTests {
    private func tensors() throws -> [NamedTensor] {
        [
            NamedTensor(name: "b", tensor: try .from([1, 2, 3, 4, 5, 6], shape: [2, 3]), isTrained: true),
            NamedTensor(name: "a", tensor: try .from([-0.5], shape: [1]), isTrained: true),
        ]
    }

    private func zeros() throws -> [NamedTensor] {
        [
            NamedTensor(name: "b", tensor: try .full(0, shape: [2, 3]), isTrained: true),
            NamedTensor(name: "a", tensor: try .full(0, shape: [1]), isTrained: true),
        ]
    }

    @Test func whatIsWrittenIsReadBack() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("w.safetensors")
            try Safetensors.write(tensors(), metadata: ["step": "7"], to: file)
            let target = try zeros()
            #expect(try Safetensors.read(file, into: target) == ["step": "7"])
            #expect(try target[0].tensor.values() == [1, 2, 3, 4, 5, 6])
            #expect(try target[1].tensor.values() == [-0.5])
        }
    }

    @Test func equalTensorsGiveEqualFiles() throws {
        try TestFolders.withTemporary { folder in
            let files = ["1", "2"].map { folder.appendingPathComponent($0) }
            try Safetensors.write(tensors(), metadata: ["x": "1", "y": "2"], to: files[0])
            try Safetensors.write(tensors().reversed(), metadata: ["y": "2", "x": "1"], to: files[1])
            #expect(try Data(contentsOf: files[0]) == Data(contentsOf: files[1]))
        }
    }

    @Test func aFileCutOffAnywhereIsRefusedAndChangesNothing() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("w.safetensors")
            try Safetensors.write(tensors(), to: file)
            let whole = try Data(contentsOf: file)
            for length in [0, 4, 8, 20, whole.count - 5, whole.count - 1] {
                try whole.prefix(length).write(to: file)
                let target = try zeros()
                #expect(throws: TorchError.self, "cut at \(length)") { try Safetensors.read(file, into: target) }
                #expect(try target[0].tensor.values() == [0, 0, 0, 0, 0, 0])
            }
        }
    }

    @Test func anotherArchitectureAndNoNumbersAreRefused() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("w.safetensors")
            try Safetensors.write(tensors(), to: file)
            let other = NamedTensor(name: "b", tensor: try .full(0, shape: [3, 2]), isTrained: true)
            #expect(throws: TorchError.self) { try Safetensors.read(file, into: [other]) }
            let absent = NamedTensor(name: "c", tensor: try .full(0, shape: [1]), isTrained: true)
            #expect(throws: TorchError.self) { try Safetensors.read(file, into: [absent]) }
            let broken = NamedTensor(name: "a", tensor: try .from([.nan], shape: [1]), isTrained: true)
            try Safetensors.write([broken], to: file)
            #expect(throws: TorchError.self) { try Safetensors.read(file, into: [try zeros()[1]]) }
        }
    }

    @Test(.enabled(if: Subprocess.peersPython != nil, "needs the peers' libraries: script/test"))
    func theReferenceLibraryReadsOurFiles() throws {
        let python = try #require(Subprocess.peersPython)
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("w.safetensors")
            try Safetensors.write(tensors(), metadata: ["step": "7"], to: file)
            let script = """
                import sys
                from safetensors import safe_open
                with safe_open(sys.argv[1], 'np') as f:
                    print(sorted(f.keys()), f.get_tensor('b').tolist(), f.get_tensor('a').tolist(), f.metadata())
                """
            let outcome = try Subprocess.run(python, ["-c", script, file.path])
            #expect(
                outcome.output == "['a', 'b'] [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]] [-0.5] {'step': '7'}\n",
                "\(outcome.errors)")
        }
    }
}
