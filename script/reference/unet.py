#!/usr/bin/env python3
"""Computes the PyTorch values that the tests compare with: a U-Net's forward and backward pass, losses, optimiser steps.

Run by hand with any PyTorch (Debian: python3-torch); writes Tests/LabelSuperResolutionTests/Reference/unet.json.
Weights and inputs come from a small integer generator, so that Swift makes the same ones and only results are stored.
"""
import json
import pathlib

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


class Stream:
    """The numbers ((k * 7919 + 13) mod 2003) / 2003 - 0.5 for k = 0, 1, …"""

    def __init__(self):
        self.k = 0

    def take(self, shape, scale):
        count = 1
        for side in shape:
            count *= side
        values = [((k * 7919 + 13) % 2003) / 2003 - 0.5 for k in range(self.k, self.k + count)]
        self.k += count
        return (torch.tensor(values) * scale).reshape(shape)


def network(widths, channels, labels, convolutions, stream):
    """Tensors in the order of UNet.tensors: conv weight, norm weight, bias, mean, variance; then the head."""
    parameters = []

    def stage(inputs, outputs):
        layers = []
        for index in range(convolutions):
            fan = inputs if index == 0 else outputs
            layers.append([
                stream.take((outputs, fan, 3, 3), 0.6).requires_grad_(), (1 + stream.take((outputs,), 0.4)).requires_grad_(),
                stream.take((outputs,), 0.4).requires_grad_(), stream.take((outputs,), 0.2), 1 + stream.take((outputs,), 0.4)])
        parameters.extend(layers)
        return layers

    down = [stage(channels if i == 0 else widths[i - 1], w) for i, w in enumerate(widths)]
    up = [stage(widths[i] + widths[i + 1], widths[i]) for i in range(len(widths) - 1)]
    head = [stream.take((labels, widths[0], 1, 1), 1.0).requires_grad_(), stream.take((labels,), 0.5).requires_grad_()]
    return down, up, head


def run(down, up, head, x, training):
    def stage(layers, x):
        for w, g, b, m, v in layers:
            x = F.conv2d(x, w, padding=1)
            x = F.relu(F.batch_norm(x, m.clone(), v.clone(), g, b, training, 0.1, 1e-5))
        return x

    skipped = []
    for level, layers in enumerate(down):
        if level:
            skipped.append(x)
            x = F.max_pool2d(x, 2)
        x = stage(layers, x)
    for level in reversed(range(len(up))):
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = stage(up[level], torch.cat([x, skipped[level]], 1))
    return F.conv2d(x, head[0], head[1])


def main():
    stream = Stream()
    down, up, head = network([4, 6, 8], 3, 2, 2, stream)
    x = stream.take((2, 3, 24, 24), 2.0)
    evaluated = run(down, up, head, x, False)
    scores = run(down, up, head, x, True)
    log_p = F.log_softmax(scores, 1)
    # Two blocks of 8 px a side inside a margin of 4; classes 0, 1, none, 1 and 1, 0, 0, none.
    eta = torch.tensor([[0.95, 0.05], [0.6, 0.4]])
    rho = torch.tensor([[0.02, 0.02], [0.1, 0.1]])
    classes = [0, 1, None, 1, 1, 0, 0, None]
    p = log_p.exp()[:, :, 4:20, 4:20].reshape(2, 2, 2, 8, 2, 8)
    mu, v = p.mean((3, 5)), (p * (1 - p)).mean((3, 5))
    total, known = 0, 0
    for i, z in enumerate(classes):
        if z is None:
            continue
        known += 1
        image, block = divmod(i, 4)
        m, w = mu[image, :, block // 2, block % 2], v[image, :, block // 2, block % 2]
        total = total + (0.5 * (m - eta[z]) ** 2 / (w / 64 + rho[z] ** 2)
                         + 0.3 * 0.5 * (torch.log(w + 0.03) + torch.log(torch.tensor(2 * torch.pi / 64)))).sum() / 2
    loss = total / known
    loss.backward()
    gradients = {"head.weight": head[0].grad, "head.bias": head[1].grad, "down.0.0.conv.weight": down[0][0][0].grad,
                 "down.2.1.norm.weight": down[2][1][1].grad, "up.0.0.conv.weight": up[0][0][0].grad}
    # Three optimiser steps on fixed gradients.
    steps = {}
    for name, make in [("adam", lambda q: torch.optim.Adam(q, 0.01)), ("rmsprop", lambda q: torch.optim.RMSprop(q, 0.01))]:
        q = torch.tensor([0.5, -1.0, 2.0], requires_grad=True)
        optimiser = make([q])
        for g in ([0.1, -0.2, 0.3], [0.4, 0.1, -0.6], [-0.5, 0.05, 0.2]):
            q.grad = torch.tensor(g)
            optimiser.step()
        steps[name] = q.detach().tolist()
    out = {
        "torch": torch.__version__, "evaluated": evaluated.flatten().tolist(), "scores": scores.flatten().tolist(),
        "loss": loss.item(), "gradients": {k: g.flatten().tolist() for k, g in gradients.items()}, "optimizers": steps,
    }

    def rounded(value):
        if isinstance(value, float):
            return float(f"{value:.9g}")
        if isinstance(value, list):
            return [rounded(v) for v in value]
        if isinstance(value, dict):
            return {k: rounded(v) for k, v in value.items()}
        return value

    path = pathlib.Path(__file__).resolve().parents[2] / "Tests/LabelSuperResolutionTests/Reference/unet.json"
    path.write_text(json.dumps(rounded(out)) + "\n")


main()
