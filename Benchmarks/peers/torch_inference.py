"""The same network in PyTorch: frozen, channels-last. torch_inference.py MODEL SIDE SECONDS [PROBABILITIES.npy]"""
import json, struct, sys, time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    return {
        k: np.frombuffer(data[8 + size + v["data_offsets"][0] : 8 + size + v["data_offsets"][1]], np.float32)
        .reshape(v["shape"]).copy()
        for k, v in header.items() if k != "__metadata__"
    }


class Stage(nn.Module):
    def __init__(self, start, width, count):
        super().__init__()
        layers = []
        for i in range(count):
            layers += [nn.Conv2d(start if i == 0 else width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Net(nn.Module):
    def __init__(self, architecture):
        super().__init__()
        a = architecture
        widths, count = a["widths"], a["convolutionsPerLevel"]
        self.stride = a["stride"]
        self.prior = a.get("prior")
        first = a["inputChannels"] * self.stride**2
        self.down = nn.ModuleList([Stage(first if i == 0 else widths[i - 1], w, count) for i, w in enumerate(widths)])
        self.up = nn.ModuleList([Stage(widths[i] + widths[i + 1], widths[i], count) for i in range(len(widths) - 1)])
        self.head = nn.Conv2d(widths[0], a["labels"], 1)
        self.radius, self.channel = 0, 0
        if self.prior:
            self.radius, self.channel = self.prior["radius"], self.prior["channel"]
            y, x = np.mgrid[-self.radius : self.radius + 1, -self.radius : self.radius + 1]
            disc = (x * x + y * y <= self.radius**2).astype(np.float32)
            self.register_buffer("disc", torch.tensor(disc / disc.sum() * self.prior["weight"])[None, None])
        else:
            self.register_buffer("disc", torch.zeros(1, 1, 1, 1))

    def forward(self, image):
        x = F.pixel_unshuffle(image, self.stride).contiguous(memory_format=torch.channels_last) if self.stride > 1 else image
        skipped = []
        for level, stage in enumerate(self.down):
            if level:
                skipped.append(x)
                x = F.max_pool2d(x, 2)
            x = stage(x)
        for level, stage in enumerate(self.up[::-1]):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = stage(torch.cat([x, skipped[-1 - level]], 1))
        x = self.head(x)
        if self.stride > 1:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        odds = x[:, 1:] - x[:, :1]
        if self.radius:
            odds = odds + F.conv2d(image[:, self.channel : self.channel + 1].contiguous(), self.disc, padding=self.radius)
        return odds


def load(folder):
    model = json.load(open(folder + "/model.json"))
    net = Net(model["architecture"])
    state = net.state_dict()
    for name, value in tensors(folder + "/weights.safetensors").items():
        parts = name.split(".")
        if parts[0] in ("down", "up"):
            place = 3 * int(parts[2]) + (0 if parts[3] == "conv" else 1)
            name = f"{parts[0]}.{parts[1]}.layers.{place}.{parts[4]}"
        assert name in state, name
        state[name] = torch.tensor(value)
    net.load_state_dict(state)
    net.eval()
    return net.to(memory_format=torch.channels_last), model


def frozen(net, example):
    with torch.no_grad():
        return torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, example)))


if __name__ == "__main__":
    folder, side, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
    net, model = load(folder)
    channels = model["architecture"]["inputChannels"]
    i = np.arange(channels * side * side, dtype=np.uint64)
    values = (((i * np.uint64(2654435761)) >> np.uint64(16)) & np.uint64(0xFF)).astype(np.float32) / 128 - 1
    image = torch.from_numpy(values.reshape(1, channels, side, side)).contiguous(memory_format=torch.channels_last)
    best = 0
    with torch.no_grad():
        # Whichever form PyTorch runs faster.
        for name, form in (("frozen", frozen(net, image)), ("eager", net)):
            for _ in range(3):
                form(image)
            rates = []
            end = time.time() + seconds / 2
            while time.time() < end:
                start = time.time()
                for _ in range(3):
                    form(image)
                rates.append(3 * side * side / 1e6 / (time.time() - start))
            best = max(best, sorted(rates)[len(rates) // 2])
    print(json.dumps({"engine": f"pytorch-{torch.__version__}", "side": side, "threads": torch.get_num_threads(), "megapixels_per_second": best}))
