internal import Failures
internal import Foundation
internal import LabelSuperResolution

/// What this study says and which slides it uses: files of the target, so that prose and data are no code.
enum StudyTexts {
    private static func data(_ name: String) throws -> Data {
        guard let folder = Bundle.module.resourceURL else {
            throw MethodError(.training, "the texts of the studies are not where the program is")
        }
        return try Data(contentsOf: folder.appendingPathComponent("Texts/\(name)"))
    }

    /// The paragraphs of a text.
    ///
    /// - Parameter values: take the places of their names in braces.
    static func paragraphs(_ name: String, values: [String: String] = [:]) throws -> [String] {
        let text = values.reduce(String(decoding: try data("\(name).md"), as: UTF8.self)) {
            $0.replacingOccurrences(of: "{\($1.key)}", with: $1.value)
        }
        return text.components(separatedBy: "\n\n").map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
    }

    /// Rows of another page, by name.
    static func rows<Row: Decodable>(_ name: String, as type: Row.Type) throws -> [Row] {
        try JSONDecoder().decode([Row].self, from: data("\(name).json"))
    }

    /// The folds of each question.
    static func folds() throws -> [String: [ExperimentFold]] {
        try JSONDecoder().decode([String: [ExperimentFold]].self, from: data("folds.json"))
    }
}
