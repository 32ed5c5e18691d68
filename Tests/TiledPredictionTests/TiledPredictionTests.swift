import LabelSuperResolution
import Raster
import Testing
import TiledPrediction

struct TiledPredictionTests {
    @Test func tilesCoverTheImageOnce() {
        let grid = TileGrid(width: 1100, height: 700, side: 512)
        #expect(grid.rows.count == 2 && grid.columns == 3 && grid.tileCount == 6)
        #expect(grid.rows.joined().reduce(0) { $0 + $1.width * $1.height } == 1100 * 700)
        #expect(grid.rows[1][2].width == 76 && grid.rows[1][2].height == 188)
    }

    @Test func aRegionIsMadeUpToTheGridAndSurrounded() {
        let seen = PixelRegion(x: 64, y: 128, width: 50, height: 64).surrounded(by: 16, multiple: 16)
        #expect(seen == PixelRegion(x: 48, y: 112, width: 64 + 32, height: 64 + 32))
        #expect(seen.columns == 48..<144 && seen.rows == 112..<208)
    }

    @Test func clocksTellEveryStageOnce() {
        let clock = StageClock(stages: [.read, StageClock.Stage("own")])
        clock.time(.infer) {}
        #expect(Set(clock.seconds.keys) == ["read", "own", "infer"])
    }
}
