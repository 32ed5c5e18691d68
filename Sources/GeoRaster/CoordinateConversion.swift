internal import CGDAL
public import Failures

/// Takes places of one CRS to another one. x is east and y is north, whatever order of axes a CRS has in its own definition.
public final class CoordinateConversion {
    private let transformation: OGRCoordinateTransformationH
    private let isIdentity: Bool

    /// - Parameters:
    ///   - source: well-known text, or a code such as `EPSG:26917`.
    ///   - target: the same.
    /// - Throws: ``GeoRasterError`` where either is no CRS, or there is no way between them.
    public init(from source: String, to target: String) throws(GeoRasterError) {
        _ = GDAL.start
        let (one, other) = (try CoordinateConversion.reference(source), try CoordinateConversion.reference(target))
        defer {
            OSRDestroySpatialReference(one)
            OSRDestroySpatialReference(other)
        }
        isIdentity = OSRIsSame(one, other) != 0
        CPLErrorReset()
        guard let made = OCTNewCoordinateTransformation(one, other) else {
            throw GeoRasterError(.unplaced, "there is no way between the two CRS", detail: GDAL.reason)
        }
        transformation = made
    }

    deinit { OCTDestroyCoordinateTransformation(transformation) }

    private static func reference(_ text: String) throws(GeoRasterError) -> OGRSpatialReferenceH {
        CPLErrorReset()
        guard let reference = OSRNewSpatialReference(nil) else {
            throw GeoRasterError(.unplaced, "no CRS can be made", detail: GDAL.reason)
        }
        guard OSRSetFromUserInput(reference, text) == OGRERR_NONE else {
            OSRDestroySpatialReference(reference)
            throw GeoRasterError(.unplaced, "'\(text.prefix(60))' is no CRS", detail: GDAL.reason)
        }
        OSRSetAxisMappingStrategy(reference, OAMS_TRADITIONAL_GIS_ORDER)
        return reference
    }

    /// Whether two CRS are one.
    static func isSame(_ one: String, _ other: String) -> Bool {
        _ = GDAL.start
        guard one != other else { return true }
        guard let a = try? reference(one) else { return false }
        defer { OSRDestroySpatialReference(a) }
        guard let b = try? reference(other) else { return false }
        defer { OSRDestroySpatialReference(b) }
        return OSRIsSame(a, b) != 0
    }

    /// Converts places where they are; those that have none in the target become NaN.
    public func convert(x: inout [Double], y: inout [Double]) {
        precondition(x.count == y.count, "a place has two coordinates")
        guard !isIdentity, !x.isEmpty else { return }
        var success = [Int32](repeating: 0, count: x.count)
        OCTTransformEx(transformation, Int32(x.count), &x, &y, nil, &success)
        for index in success.indices where success[index] == 0 { (x[index], y[index]) = (.nan, .nan) }
    }
}
