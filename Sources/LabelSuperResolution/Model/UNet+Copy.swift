public import Failures
public import Torch

extension UNet {
    /// A network with copies of the weights, on a device.
    public func copied(to device: Device) throws(TorchError) -> UNet {
        let copy = try UNet(architecture, seed: 0, device: device)
        for (target, source) in zip(copy.tensors, tensors) { try target.tensor.copyInPlace(source.tensor) }
        return copy
    }
}
