// swift-tools-version: 6.2
import PackageDescription

/// Measurements that are no tests: `script/bench` builds and runs them.
let package = Package(
    name: "benchmarks",
    dependencies: [.package(name: "graticule", path: "..")],
    targets: [
        .executableTarget(
            name: "bench", dependencies: [.product(name: "LabelSuperResolution", package: "graticule")])
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
