// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// A user with a GPU points GRATICULE_LIBTORCH at a newer (CUDA) libtorch; without it Debian's `libtorch-dev` is used.
let libtorch = ProcessInfo.processInfo.environment["GRATICULE_LIBTORCH"]

let torchHeaders: [CXXSetting] =
    libtorch.map { root in [.unsafeFlags(["-I\(root)/include", "-I\(root)/include/torch/csrc/api/include"])] } ?? []

let torchLibraries: [LinkerSetting] =
    [.linkedLibrary("torch_cpu"), .linkedLibrary("c10")]
    + (libtorch.map { root in
        let cuda = FileManager.default.fileExists(atPath: "\(root)/lib/libtorch_cuda.so")
        return [
            .unsafeFlags(
                ["-L\(root)/lib", "-Xlinker", "-rpath", "-Xlinker", "\(root)/lib"]
                    + (cuda ? ["-Xlinker", "--no-as-needed", "-ltorch_cuda", "-lc10_cuda"] : []))
        ]
    } ?? [])

let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "graticule",
    products: [
        .executable(name: "graticule", targets: ["graticule"]),
        .executable(name: "graticule-query", targets: ["graticule-query"]),
        .library(name: "LabelSuperResolution", targets: ["LabelSuperResolution"]),
        .library(name: "Lymphocytes", targets: ["Lymphocytes"]),
        .library(name: "ResultStore", targets: ["ResultStore"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.60.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.0.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.20.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.5.0"),
    ],
    targets: [
        // C floor
        .systemLibrary(name: "COpenSlide", pkgConfig: "openslide", providers: [.apt(["libopenslide-dev"])]),
        .systemLibrary(name: "CTIFF", pkgConfig: "libtiff-4", providers: [.apt(["libtiff-dev"])]),
        .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSVM", providers: [.apt(["libsvm-dev"])]),
        .systemLibrary(name: "CGDAL", pkgConfig: "gdal", providers: [.apt(["libgdal-dev"])]),
        .systemLibrary(name: "CCairo", pkgConfig: "cairo", providers: [.apt(["libcairo2-dev"])]),
        .target(name: "CTorch", cxxSettings: torchHeaders, linkerSettings: torchLibraries),

        .target(name: "COneDNN", linkerSettings: [.linkedLibrary("dnnl")]),

        // ground
        .target(name: "Failures", swiftSettings: house),
        .target(name: "Tables", dependencies: ["CZlib", "Failures"], swiftSettings: house),
        .target(name: "OneDNN", dependencies: ["COneDNN", "Failures"], swiftSettings: house),
        .target(name: "Torch", dependencies: ["CTorch", "Failures"], swiftSettings: house),
        .target(
            name: "Raster", dependencies: ["CTIFF", "CPNG", "CTurboJPEG", "CZlib", "Failures"], swiftSettings: house),
        .target(name: "Charts", dependencies: ["CCairo", "Raster", "Failures"], swiftSettings: house),
        .target(
            name: "WholeSlide", dependencies: ["COpenSlide", "Raster", "Tables", "Failures"], swiftSettings: house),
        .target(name: "GeoRaster", dependencies: ["CGDAL", "Failures"], swiftSettings: house),

        // method
        .target(
            name: "LabelSuperResolution", dependencies: ["Torch", "OneDNN", "Raster", "Charts", "Failures"],
            swiftSettings: house),
        .target(
            name: "Baselines", dependencies: ["LabelSuperResolution", "Torch", "CSVM", "Failures"], swiftSettings: house
        ),

        // general work
        .target(
            name: "CoarseTraining", dependencies: ["LabelSuperResolution", "Raster", "Charts", "Torch", "Failures"],
            swiftSettings: house),
        .target(
            name: "BatchWork",
            dependencies: ["Failures", .product(name: "Logging", package: "swift-log")], swiftSettings: house),
        .target(
            name: "TiledPrediction", dependencies: ["LabelSuperResolution", "BatchWork", "Raster"],
            swiftSettings: house),

        // store
        .target(
            name: "ResultStore",
            dependencies: [
                "CZlib", "Failures", .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
            ], swiftSettings: house),

        // work
        .target(
            name: "Lymphocytes",
            dependencies: [
                "CoarseTraining", "TiledPrediction", "BatchWork", "LabelSuperResolution", "ResultStore", "WholeSlide",
                "Raster", "Tables", "Charts", "Torch", "Failures",
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: house),
        .target(
            name: "LandCover",
            dependencies: [
                "CoarseTraining", "TiledPrediction", "BatchWork", "LabelSuperResolution", "GeoRaster", "Raster",
                "Charts", "Tables", "Torch", "Failures",
            ], swiftSettings: house),
        .target(
            name: "Phantoms",
            dependencies: [
                "Failures", "BatchWork", "Lymphocytes", "LandCover", "LabelSuperResolution", "WholeSlide", "GeoRaster",
                "Raster",
            ],
            swiftSettings: house),

        .target(
            name: "Studies",
            dependencies: [
                "Failures", "BatchWork", "Lymphocytes", "LandCover", "Phantoms", "GeoRaster", "Baselines",
                "CoarseTraining", "TiledPrediction",
                "LabelSuperResolution", "ResultStore",
                "WholeSlide", "Raster", "Tables", "Charts", "Torch",
            ], resources: [.copy("Texts")],
            swiftSettings: house),

        // faces
        .target(
            name: "Terminal",
            dependencies: [
                "Failures", .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: house),
        .executableTarget(
            name: "graticule-study",
            dependencies: [
                "Failures", "BatchWork", "Studies", "Terminal", "Torch",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: house),
        .target(
            name: "GraticuleServer",
            dependencies: [
                "Failures", "BatchWork", "Lymphocytes", "LandCover", "GeoRaster", "LabelSuperResolution", "ResultStore",
                "WholeSlide", "Raster",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ], resources: [.copy("Viewer")], swiftSettings: house),
        .executableTarget(name: "graticule-query", dependencies: ["ResultStore", "Failures"], swiftSettings: house),
        .executableTarget(
            name: "graticule",
            dependencies: [
                "Failures", "BatchWork", "GraticuleServer", "Lymphocytes", "LabelSuperResolution", "ResultStore",
                "WholeSlide", "Raster", "Tables", "TiledPrediction", "Torch", "Phantoms", "Terminal", "LandCover",
                "GeoRaster",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ], swiftSettings: house),

        // tests
        .target(
            name: "GraticuleTesting",
            dependencies: ["Lymphocytes", "LabelSuperResolution", "WholeSlide", "Raster", "Torch", "Phantoms"],
            path: "Tests/Support",
            swiftSettings: house),
        .testTarget(
            name: "TorchTests", dependencies: ["Torch", "GraticuleTesting", "Failures", "BatchWork"],
            swiftSettings: house),
        .testTarget(
            name: "RasterTests",
            dependencies: ["Raster", "LabelSuperResolution", "GraticuleTesting", "Failures", "BatchWork"],
            swiftSettings: house),
        .testTarget(
            name: "WholeSlideTests",
            dependencies: ["WholeSlide", "Raster", "Tables", "GraticuleTesting", "Failures", "BatchWork"],
            swiftSettings: house),
        .testTarget(
            name: "GeoRasterTests",
            dependencies: ["GeoRaster", "LabelSuperResolution", "Failures", "GraticuleTesting"], swiftSettings: house),
        .testTarget(
            name: "LandCoverTests",
            dependencies: [
                "LandCover", "Phantoms", "LabelSuperResolution", "GeoRaster", "Tables", "GraticuleTesting", "Failures",
                "BatchWork",
            ], resources: [.copy("Peers")], swiftSettings: house),
        .testTarget(
            name: "LabelSuperResolutionTests",
            dependencies: ["LabelSuperResolution", "Torch", "GraticuleTesting", "Failures", "BatchWork"],
            resources: [.copy("Reference")], swiftSettings: house),
        .testTarget(
            name: "TiledPredictionTests",
            dependencies: [
                "TiledPrediction", "LabelSuperResolution", "Raster", "Torch", "GraticuleTesting", "Failures",
                "BatchWork",
            ],
            swiftSettings: house),
        .testTarget(
            name: "BaselinesTests",
            dependencies: ["Baselines", "LabelSuperResolution", "Torch", "GraticuleTesting", "Failures", "BatchWork"],
            swiftSettings: house),
        .testTarget(
            name: "ResultStoreTests",
            dependencies: [
                "ResultStore", "graticule-query", "GraticuleTesting", "Failures", "BatchWork",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: house),
        .testTarget(
            name: "LymphocytesTests",
            dependencies: [
                "Lymphocytes", "LabelSuperResolution", "ResultStore", "WholeSlide", "Raster", "Phantoms",
                "GraticuleTesting", "Failures", "BatchWork",
            ], resources: [.copy("Peers")], swiftSettings: house),
        .testTarget(
            name: "GraticuleServerTests",
            dependencies: [
                "GraticuleServer", "graticule", "graticule-query", "Lymphocytes", "LandCover", "LabelSuperResolution",
                "Phantoms", "ResultStore", "GraticuleTesting", "Failures", "BatchWork",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ], resources: [.copy("Peers")], swiftSettings: house),
        .testTarget(
            name: "StudiesTests",
            dependencies: [
                "Studies", "Lymphocytes", "LandCover", "LabelSuperResolution", "ResultStore", "WholeSlide", "Raster",
                "Phantoms",
                "GraticuleTesting", "Failures", "BatchWork",
            ], swiftSettings: house),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "graticule", "graticule-query", "graticule-study", "ResultStore", "GraticuleTesting", "Failures",
                "BatchWork",
            ],
            swiftSettings: house),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
