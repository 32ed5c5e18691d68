internal import CSVM
public import Failures
public import LabelSuperResolution

/// A binary support vector machine with a radial kernel, on libsvm. Features are scaled to mean 0 and deviation 1.
public final class SupportVectorMachine {
    private let machine: UnsafeMutablePointer<svm_model>
    /// libsvm's model points into the training rows, so they live as long as it.
    private let rows: UnsafeMutablePointer<svm_node>
    private let pointers: UnsafeMutablePointer<UnsafeMutablePointer<svm_node>?>
    private let targets: UnsafeMutablePointer<Double>
    private let means: [Double]
    private let deviations: [Double]
    /// 1 where libsvm's first class is the positive one, else −1.
    private let sign: Double

    /// Trains on rows of equally many features.
    ///
    /// - Parameters:
    ///   - cost: the price of a sample on the wrong side; classes are weighted to count alike.
    ///   - gamma: of the kernel exp(−γ |x − y|²); 1 / features where none is given, libsvm's default.
    /// - Throws: ``MethodError`` where a class is missing, rows differ in length or a feature is no number.
    public init(
        _ features: [[Double]], isPositive: [Bool], cost: Double = 1, gamma: Double? = nil
    ) throws(MethodError) {
        guard let width = features.first?.count, width > 0, features.allSatisfy({ $0.count == width }),
            features.count == isPositive.count, isPositive.contains(true), isPositive.contains(false),
            features.allSatisfy({ $0.allSatisfy(\.isFinite) })
        else {
            throw MethodError(
                .training, "a support vector machine needs rows of both classes with the same finite features")
        }
        let count = features.count
        let means = (0..<width).map { column in features.reduce(0) { $0 + $1[column] } / Double(count) }
        deviations = (0..<width).map { column in
            let square = features.reduce(0) { $0 + ($1[column] - means[column]) * ($1[column] - means[column]) }
            return max((square / Double(count)).squareRoot(), 1e-9)
        }
        self.means = means
        let stride = width + 1
        rows = .allocate(capacity: count * stride)
        pointers = .allocate(capacity: count)
        targets = .allocate(capacity: count)
        for (row, values) in features.enumerated() {
            for (column, value) in values.enumerated() {
                rows[row * stride + column] = svm_node(
                    index: Int32(column + 1), value: (value - means[column]) / deviations[column])
            }
            rows[row * stride + width] = svm_node(index: -1, value: 0)
            pointers[row] = rows + row * stride
            targets[row] = isPositive[row] ? 1 : -1
        }
        var parameters = svm_parameter()
        parameters.svm_type = Int32(C_SVC)
        parameters.kernel_type = Int32(RBF)
        parameters.gamma = gamma ?? 1 / Double(width)
        parameters.cache_size = 64
        parameters.eps = 1e-3
        parameters.C = cost
        parameters.shrinking = 1
        var problem = svm_problem(l: Int32(count), y: targets, x: pointers)
        graticule_svm_be_quiet()
        let positives = Double(isPositive.count { $0 })
        var labels: [Int32] = [1, -1]
        var weights = [Double(count) / (2 * positives), Double(count) / (2 * (Double(count) - positives))]
        machine = labels.withUnsafeMutableBufferPointer { labels in
            weights.withUnsafeMutableBufferPointer { weights in
                parameters.nr_weight = 2
                parameters.weight_label = labels.baseAddress
                parameters.weight = weights.baseAddress
                // Never null: libsvm stops at nothing but missing memory.
                return svm_train(&problem, &parameters)
            }
        }
        sign = machine.pointee.label[0] == 1 ? 1 : -1
    }

    deinit {
        var model: UnsafeMutablePointer<svm_model>? = machine
        svm_free_and_destroy_model(&model)
        rows.deallocate()
        pointers.deallocate()
        targets.deallocate()
    }

    /// The signed distance from the border, in units of the margin; positive on the side of the positive class.
    public func decision(_ features: [Double]) -> Double {
        var nodes = zip(features, zip(means, deviations)).enumerated().map { column, pair in
            svm_node(index: Int32(column + 1), value: (pair.0 - pair.1.0) / pair.1.1)
        }
        nodes.append(svm_node(index: -1, value: 0))
        var value = 0.0
        svm_predict_values(machine, &nodes, &value)
        return sign * value
    }
}
