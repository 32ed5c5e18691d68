import Foundation
import GraticuleTesting
import Testing

/// The floors of the house: what each target may import of ours. docs/architecture.md has the picture.
struct ArchitectureTests {
    /// From the ground up.
    private static let floors: [String: Set<String>] = [
        "Failures": [], "Tables": [], "Torch": [], "OneDNN": [], "Raster": [], "Charts": ["Raster"], "GeoRaster": [],
        "WholeSlide": ["Raster", "Tables"],
        "LabelSuperResolution": ["Torch", "OneDNN", "Raster", "Charts"],
        "Baselines": ["LabelSuperResolution", "Torch"], "ResultStore": [],
        "CoarseTraining": ["LabelSuperResolution", "Raster", "Charts", "Torch"],
        "BatchWork": [], "TiledPrediction": ["LabelSuperResolution", "BatchWork", "Raster"],
        "Lymphocytes": [
            "LabelSuperResolution", "CoarseTraining", "TiledPrediction", "ResultStore", "WholeSlide", "Raster",
            "Tables", "Charts", "Torch",
        ],
        "LandCover": [
            "LabelSuperResolution", "CoarseTraining", "TiledPrediction", "GeoRaster", "Raster", "Charts", "Tables",
            "Torch",
        ],
        "Phantoms": ["Lymphocytes", "LandCover", "LabelSuperResolution", "WholeSlide", "GeoRaster", "Raster"],
        "Studies": [
            "Lymphocytes", "LandCover", "Phantoms", "Baselines", "LabelSuperResolution", "CoarseTraining",
            "TiledPrediction", "ResultStore", "WholeSlide", "GeoRaster", "Raster", "Tables", "Charts", "Torch",
        ],
        "Terminal": [],
        "GraticuleServer": [
            "Lymphocytes", "LandCover", "GeoRaster", "LabelSuperResolution", "TiledPrediction", "ResultStore",
            "WholeSlide",
            "Raster",
        ],
        "graticule-query": ["ResultStore"],
        "graticule-study": ["Studies", "Terminal", "Lymphocytes", "LabelSuperResolution", "Torch"],
        "graticule": [
            "GraticuleServer", "Lymphocytes", "LabelSuperResolution", "TiledPrediction", "ResultStore", "WholeSlide",
            "Raster", "Tables", "Torch", "Phantoms", "Terminal", "LandCover", "GeoRaster",
        ],
    ]

    private func files(_ target: String) throws -> [URL] {
        let folder = TestFolders.root.appendingPathComponent("Sources/\(target)")
        let found = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        return (found?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }
    }

    @Test(arguments: floors.keys.sorted()) func importsPointDownwards(target: String) throws {
        let ours = Set(ArchitectureTests.floors.keys)
        let general: Set<String> = [
            "Lymphocytes", "LandCover", "Phantoms", "Studies", "GraticuleServer", "graticule", "graticule-study",
        ]
        let allowed = try #require(ArchitectureTests.floors[target])
            .union(["Failures"]).union(general.contains(target) ? ["BatchWork"] : [])
        let sources = try files(target)
        #expect(!sources.isEmpty, "\(target) has no sources")
        for file in sources {
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                let words = line.split(separator: " ")
                guard let place = words.firstIndex(of: "import"), place <= 1, place + 1 < words.count else { continue }
                let module = String(words[place + 1])
                #expect(
                    !ours.contains(module) || allowed.contains(module), "\(file.lastPathComponent) imports \(module)")
            }
        }
    }

    /// What is general serves every application: it speaks of none.
    @Test(arguments: [
        "Failures", "Tables", "LabelSuperResolution", "Baselines", "CoarseTraining", "TiledPrediction", "BatchWork",
    ]) func whatIsGeneralKnowsNoDomain(target: String) throws {
        let words = /(?i)lymphocyt|\bstain|\bslides?\b|darkness|ha?ematoxylin|tissue|\bnucle(us|i)\b|heatmap/
        for file in try files(target) {
            let text = try String(contentsOf: file, encoding: .utf8)
            let found = text.firstMatch(of: words).map { String($0.0) }
            #expect(found == nil, "\(file.lastPathComponent) speaks of \(found ?? "")")
        }
    }

    /// A target without its floor would go unchecked.
    @Test func everyTargetHasItsFloor() throws {
        let sources = TestFolders.root.appendingPathComponent("Sources")
        let targets = try FileManager.default.contentsOfDirectory(atPath: sources.path).filter { !$0.hasPrefix(".") }
        let cModules: Set<String> = [
            "CCairo", "CGDAL", "COneDNN", "COpenSlide", "CPNG", "CSVM", "CTIFF", "CTorch", "CTurboJPEG", "CZlib",
        ]
        #expect(Set(targets).subtracting(cModules) == Set(ArchitectureTests.floors.keys))
    }

    /// A script's leavings, slides and caches are soon committed with `git add -A`.
    @Test func onlyWhatBelongsHereIsCommitted() throws {
        let listed = try Subprocess.run(
            "/usr/bin/git", ["-c", "safe.directory=*", "-C", TestFolders.root.path, "ls-files", "-z"])
        try #require(listed.status == 0, "\(listed.errors)")
        let files = listed.output.split(separator: "\0").map(String.init)
        let known: Set<String> = [
            ".ci", ".gitattributes", ".gitignore", ".swift-format", "Benchmarks", "CHANGELOG.md", "CONTRIBUTING.md",
            "LICENSE",
            "NOTICE", "Package.swift", "README.md", "Sources", "Tests", "docs", "script", "slides",
        ]
        #expect(Set(files.compactMap { $0.split(separator: "/").first.map(String.init) }).subtracting(known) == [])
        for file in files {
            let url = TestFolders.root.appendingPathComponent(file)
            let size = (try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int) ?? 0
            #expect(size < 2 << 20, "\(file) has \(size) bytes")
        }
    }

    /// What a whole file may say, and what must not come back.
    @Test func filesStayReadable() throws {
        for target in ArchitectureTests.floors.keys {
            for file in try files(target) {
                let text = try String(contentsOf: file, encoding: .utf8)
                let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
                #expect(lines <= 460, "\(file.lastPathComponent) has \(lines) lines")
                // Documents that are not in the repository.
                #expect(!text.contains("METHOD §"), "\(file.lastPathComponent)")
            }
        }
    }
}
