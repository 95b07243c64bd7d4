"""Worker of compare_anomalib.py for AnomaVision, started by it in an environment of its own."""

import importlib
import os
from pathlib import Path

from _worker import Contender, serve

# The package has no default for either: this is a batch that suits it, and its sample setting.
BATCH_SIZE = 16
THRESHOLD = 13.0


class AnomaVision(Contender):
    input_size = 224

    def import_package(self):
        importlib.import_module("anomavision")

    def prepare(self):
        # Random weights where torchvision looks for those that it has downloaded.
        import torch
        from torchvision.models import ResNet18_Weights, resnet18

        os.environ["TORCH_HOME"] = os.getcwd()
        folder = Path("hub", "checkpoints")
        folder.mkdir(parents=True)
        name = ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
        torch.save(resnet18().state_dict(), folder / name)

    def fit(self):
        from anomavision import Padim

        self.model = Padim(device="cpu")
        self.model.fit(self._load(Path(self.request["category"], "train", "good")))

    def predict(self):
        import torch

        test = Path(self.request["category"], "test")
        loaders = [self._load(test / kind) for kind in ("good", *self.request["defects"])]
        with torch.inference_mode():
            return [self._decide(batch[0]) for loader in loaders for batch in loader]

    def infer(self, images):
        import torch
        from anomavision.utils import create_image_transform
        from PIL import Image

        # That of its data set.
        transform = create_image_transform(
            resize=224,
            crop_size=224,
            normalize=True,
            mean=[0.485, 0.456, 0.406],
            std=[0.229, 0.224, 0.225],
        )
        with torch.inference_mode():
            return self._decide(torch.stack([transform(Image.fromarray(i)) for i in images]))

    def save(self):
        import torch

        torch.save(self.model, "model.pt")
        return Path("model.pt").stat().st_size, 0

    def describe(self):
        from importlib.metadata import version

        return (
            "AnodetDataset and Padim, resnet18, random weights, 50 dimensions of two layers; input "
            f"224 x 224, batches of {BATCH_SIZE}; fit sets no threshold; maps smoothed as its "
            "command line does"
        ), {name: version(name) for name in ("anomavision", "torch", "numpy")}

    def _load(self, folder):
        from anomavision import AnodetDataset
        from torch.utils.data import DataLoader

        return DataLoader(AnodetDataset(str(folder)), batch_size=BATCH_SIZE)

    def _decide(self, batch):
        from anomavision.utils import adaptive_gaussian_blur

        _, maps = self.model.predict(batch)
        maps = adaptive_gaussian_blur(maps, kernel_size=33, sigma=4)
        return maps.numpy(), (maps.amax((1, 2)) >= THRESHOLD).numpy()


if __name__ == "__main__":
    serve(AnomaVision)
