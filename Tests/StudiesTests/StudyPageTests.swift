import Foundation
import GraticuleTesting
import Testing

@testable import Studies

struct StudyPageTests {
    /// A page is written anew, what people noted at its end is not.
    @Test func notesOfPeopleStayWhenAPageIsWrittenAnew() throws {
        try TestFolders.withTemporary { folder in
            let file = folder.appendingPathComponent("page.md")
            var table = MarkdownTable(["method", "AUC"])
            table.append(["sr", Shown.number(0.75)])
            table.append(["hr", Shown.number(nil)])
            var page = StudyPage(title: "A question", command: "study x", note: "Seeds from 1.")
            page.table(table)
            page.open(["c/sr-2"])
            try page.write(to: file)
            let first = try String(contentsOf: file, encoding: .utf8)
            #expect(first.hasPrefix("# A question\n\nCommand: `study x`."))
            #expect(first.contains("\n\n| method | AUC |\n|---|---|\n| sr | 0.750 |\n| hr | – |\n"))
            #expect(first.contains("`c/sr-2`"))
            let notes = "\n\(StudyPage.notesHeading)\n\n- Tried: nothing.\n"
            try Data((first + notes).utf8).write(to: file)
            try StudyPage(title: "A question", command: "study y", note: "").write(to: file)
            let second = try String(contentsOf: file, encoding: .utf8)
            #expect(second.contains("study y") && !second.contains("study x") && second.hasSuffix(notes))
        }
    }

    /// Prose and folds are files: each that a page asks for is there, with every name in braces filled in.
    @Test func textsAndFoldsAreThere() throws {
        for name in ["comparison", "ablations", "means", "previews"] {
            #expect(try StudyTexts.paragraphs(name).allSatisfy { !$0.isEmpty && !$0.contains("{") }, "\(name)")
        }
        let networks = try StudyTexts.paragraphs("networks", values: ["members": "2", "steps": "600"])
        #expect(networks.joined().contains("2 network of 600 steps") && !networks.joined().contains("{"))
        let folds = try StudyTexts.folds()
        #expect(folds["comparison"]?.map(\.test) == ["consep-c", "consep-b"])
        // No fold is scored on what it was trained on, and settings are chosen on none of the test slides.
        for fold in folds.values.joined() { #expect(!fold.training.contains(fold.test)) }
        let tested = Set(folds["comparison"]?.map(\.test) ?? [])
        #expect(folds["ablations"]?.allSatisfy { !tested.contains($0.test) } == true)
    }
}
