import ArgumentParser
import BatchWork
import Failures
import Foundation
import Lymphocytes
import Raster
import ResultStore
import Terminal
import WholeSlide
import Tables

struct SquaresCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "squares", abstract: "Choose squares to count lymphocytes in, or list what was counted.",
        discussion: """
            Squares are spread over slides and over tissue as it looks, so that the few dense places are among them. With \
            --model those are next from which most is to be learnt. They are counted on the page of 'serve', or in a table:
              graticule squares --slides DIR --results R.sqlite               100 squares for the page
              graticule squares --slides DIR --table squares.csv              a table to fill in: slide,x,y,lymphocytes,side_um,reader
              graticule squares --results R.sqlite --table squares.csv        what was counted on the page
              graticule train --slides DIR --counts R.sqlite --output MODEL   trains from them
            """)

    @Option(help: "Folder of slides.") var slides: String?
    @Option(help: "Results file for the page of 'serve'; made where it does not exist.") var results: String?
    @Option(help: "Table to write.") var table: String?
    @Option(help: "How many squares.") var count = 100
    @Option(help: "Which squares are drawn.") var seed: UInt64 = 1
    @Option(help: "Model folder: choose where its networks disagree.") var model: String?
    @Option(help: "Table or results file of squares that are counted already: none of them is chosen again.")
    var counted: String?
    @Option(help: "Side of a square in µm.") var side = CountedSquare.standardSide
    @Option(help: "µm per level-0 pixel, for slides that do not say it.") var mpp: Double?

    func validate() throws {
        guard results != nil || table != nil else { throw ValidationError("Give --results, --table or both.") }
        guard slides != nil || (results != nil && table != nil) else {
            throw ValidationError("Give --slides to choose squares from.")
        }
        guard (1...10_000).contains(count) else { throw ValidationError("--count must be between 1 and 10000.") }
        guard SquareTable.possibleSides.contains(side) else {
            throw ValidationError("--side must be between 20 and 200 µm.")
        }
        guard slides != nil || model == nil else {
            throw ValidationError("--model is for choosing: give --slides too.")
        }
    }

    func run() throws {
        if let table {
            try OutputGuard.check(
                URL(fileURLWithPath: table),
                inputs: [slides, results, model].compactMap { $0 }.map { URL(fileURLWithPath: $0) })
        }
        guard let slides else {
            try list()
            return
        }
        let contents = SlideFolder.contents(of: [URL(fileURLWithPath: slides)])
        if let missing = contents.failures.first { throw missing }
        if let table, FileManager.default.fileExists(atPath: table) {
            throw InputError(.unusable, "\(table) exists already: move it away, so that no counts are lost")
        }
        let store = try results.map { try ResultStore(URL(fileURLWithPath: $0)) }
        var taken = try store?.squares() ?? []
        if let counted {
            taken += try SquareTable.read(URL(fileURLWithPath: counted)).map {
                SquareRecord(
                    slide: $0.slide, level0X: $0.level0X, level0Y: $0.level0Y, level0Side: 0,
                    sideMicrons: $0.sideMicrons)
            }
        }
        if let other = taken.first(where: { $0.sideMicrons != side }) {
            throw InputError(
                .unusable,
                "the squares that are there are \(other.sideMicrons) µm wide; a training takes squares of one side: give --side \(other.sideMicrons), or another file"
            )
        }
        let squareModel = try model.map { try SquareModel(URL(fileURLWithPath: $0)) }
        if let model, squareModel?.canDisagree == false {
            Console.error(
                "\(model) is a single network, which has no other to disagree with: squares are chosen as without it",
                prefix: "warning: ")
        }
        let line = ProgressLine()
        let (candidates, failures) = SquareCandidates(sideMicrons: side, givenScale: mpp, seed: seed).collect(
            contents.slides, slidesAtMost: max(10, count),
            model: squareModel
        ) { done, all in line.show("looking at slides: \(done) of \(all)") }
        line.end()
        for failure in failures { Console.error("left out: \(failure.message)") }
        let chosen = SquareChoice.choose(
            count, from: candidates, taken: taken, round: (taken.map(\.round).max() ?? 0) + 1, seed: seed)
        guard !chosen.isEmpty else {
            throw InputError(
                .unusable,
                candidates.isEmpty
                    ? "there is no tissue to count in on the slides of \(slides)"
                    : "every square of tissue on the slides of \(slides) was chosen before")
        }
        try store?.addSquares(chosen)
        if let table { try write(chosen, to: table) }
        if chosen.count < count {
            Console.note("there is tissue for no more than \(chosen.count) of the \(count) squares")
        }
        let slideCount = Set(chosen.map(\.slide)).count
        print("\(chosen.count) squares of \(Int(side)) µm on \(slideCount) slide\(slideCount == 1 ? "" : "s")")
        if let results {
            print("count them:  graticule serve \(results) --slides \(slides)")
        } else if let table {
            print(
                "fill in the column 'lymphocytes', then:  graticule train --slides \(slides) --counts \(table) --output MODEL"
            )
        }
        if !failures.isEmpty { throw ExitCode(3) }
    }

    /// The chosen squares with the counts left empty.
    private func write(_ squares: [SquareRecord], to table: String) throws {
        let lines = squares.map {
            TableText.line([
                $0.slide, String(Int($0.level0X.rounded())), String(Int($0.level0Y.rounded())), "",
                String($0.sideMicrons), "",
            ])
        }
        try AtomicFile.write(
            Data((["slide,x,y,lymphocytes,side_um,reader\n"] + lines).joined().utf8), to: URL(fileURLWithPath: table))
        print("table: \(table)")
    }

    /// What was counted on the page, as a table.
    private func list() throws {
        let counted = try SquareTable.read(URL(fileURLWithPath: results ?? ""))
        try AtomicFile.write(Data(SquareTable.text(counted).utf8), to: URL(fileURLWithPath: table ?? ""))
        print("\(counted.count) counts: \(table ?? "")")
    }
}
