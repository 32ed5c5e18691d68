import LabelSuperResolution
import Testing

@testable import Lymphocytes

struct ProbabilityClassesTests {
    @Test func classesAreHalfOpenAndTheLastIsClosed() {
        let classes = ProbabilityClasses()
        #expect([0, 0.0999, 0.1, 0.3, 0.7, 0.95, 1].map(classes.index) == [0, 0, 1, 3, 7, 9, 9])
    }

    @Test func namesSayTheirRange() {
        #expect(ProbabilityClasses().names.first == "0.0–0.1" && ProbabilityClasses().names.last == "0.9–1.0")
        #expect(ProbabilityClasses(count: 4).names[1] == "0.25–0.5")
    }
}
