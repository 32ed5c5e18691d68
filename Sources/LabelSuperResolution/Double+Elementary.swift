internal import Foundation

extension Double {
    var naturalLogarithm: Double { log(self) }
    var cosine: Double { cos(self) }
    var exponential: Double { exp(self) }
}
