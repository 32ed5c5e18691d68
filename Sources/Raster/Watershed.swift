/// Cuts a landscape into the catchments of its summits.
public enum Watershed {
    /// Labels each pixel of the mask with the summit that it belongs to, 1, 2, …; 0 outside the mask.
    ///
    /// Pixels are taken from the highest down, and each joins the neighbour to which it rises most steeply. Where two catchments
    /// meet, the lower one is swallowed unless its summit rises at least `dynamics` above the pass: small bumps make no
    /// region of their own. 8-connected.
    public static func catchments(of elevation: Plane<Float>, in mask: Plane<Bool>, dynamics: Float) -> (
        labels: Plane<Int32>, count: Int
    ) {
        let (width, height) = (mask.width, mask.height)
        // From the highest down; ties are broken by position, so that the result is the same on every run. Sorted as numbers
        // whose upper half falls as the elevation rises.
        var order: [UInt64] = []
        for i in 0..<(width * height) where mask.values[i] {
            let bits = elevation.values[i].bitPattern
            let rising = bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
            order.append(UInt64(~rising) << 32 | UInt64(i))
        }
        order.sort()
        var label = [Int32](repeating: 0, count: width * height)
        var parent: [Int32] = [0]
        var summit: [Float] = [0]
        func root(_ l: Int32) -> Int32 {
            var l = l
            while parent[Int(l)] != l {
                parent[Int(l)] = parent[Int(parent[Int(l)])]
                l = parent[Int(l)]
            }
            return l
        }
        var around: [Int32] = []
        for key in order {
            let i = Int(key & 0xffff_ffff)
            let (x, y) = (i % width, i / width)
            around.removeAll(keepingCapacity: true)
            var (steepest, slope): (Int32, Float) = (0, -1)
            for ny in max(0, y - 1)...min(height - 1, y + 1) {
                for nx in max(0, x - 1)...min(width - 1, x + 1) where label[ny * width + nx] != 0 {
                    let found = root(label[ny * width + nx])
                    if !around.contains(found) { around.append(found) }
                    let rise = elevation.values[ny * width + nx] - elevation.values[i]
                    let own = nx != x && ny != y ? rise * Float(0.5).squareRoot() : rise
                    if own > slope { (steepest, slope) = (found, own) }
                }
            }
            guard let best = around.max(by: { summit[Int($0)] < summit[Int($1)] }) else {
                parent.append(Int32(parent.count))
                summit.append(elevation.values[i])
                label[i] = Int32(parent.count - 1)
                continue
            }
            for other in around where other != best {
                if summit[Int(other)] - elevation.values[i] < dynamics { parent[Int(other)] = best }
            }
            label[i] = root(steepest)
        }
        var compact: [Int32: Int32] = [:]
        var labels = Plane<Int32>(width: width, height: height, repeating: 0)
        for i in 0..<(width * height) where label[i] != 0 {
            let r = root(label[i])
            let number = compact[r] ?? Int32(compact.count + 1)
            compact[r] = number
            labels.values[i] = number
        }
        return (labels, compact.count)
    }
}
