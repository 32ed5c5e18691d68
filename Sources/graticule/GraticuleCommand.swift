import ArgumentParser
import Foundation
import Lymphocytes
import Terminal
import Torch

/// The program's entry: its subcommands parse, call and print.
@main
struct GraticuleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graticule",
        abstract: "Label a hundred squares, get every cell.",
        discussion: """
            Graticule trains a label super-resolution network from coarse labels alone – counts of lymphocytes in a hundred \
            50 µm squares, or a heatmap of how likely each such region is to hold them – and outlines every lymphocyte on \
            whole slides. Results go to one SQLite file.

            From slides alone, in a browser:  graticule serve new.sqlite --slides DIR
            On the command line:              graticule squares → train → segment → query
            With heatmaps:                    graticule priors → train → segment → evaluate → query

            Exit status: 0 done, 1 failed, 2 usage, 3 some inputs failed and the others are done.
            For research use only.
            """,
        version: "graticule \(GraticuleVersion.current)",
        subcommands: [
            PhantomCommand.self, InspectCommand.self, SquaresCommand.self, PriorsCommand.self, TrainCommand.self,
            SegmentCommand.self,
            EvaluateCommand.self, EvaluateCellsCommand.self, QueryCommand.self, ExportCommand.self, MergeCommand.self,
            PlanCommand.self, StatusCommand.self,
            ImportHeatmapCommand.self, ServeCommand.self, LandCoverCommand.self,
        ])

    static func main() {
        TorchRuntime.threads = TorchRuntime.availableProcessors()
        TorchRuntime.keepBuffers()
        runAsProgram()
    }
}
