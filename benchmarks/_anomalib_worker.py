"""Worker of compare_anomalib.py for anomalib, started by it with the Python of its environment."""

import importlib
import os
from pathlib import Path

from _worker import Contender, serve


class Anomalib(Contender):
    def import_package(self):
        # Nothing below needs a network; this keeps timm and its hub from trying.
        os.environ["HF_HUB_OFFLINE"] = "1"
        for module in ("anomalib.data", "anomalib.engine", "anomalib.models"):
            importlib.import_module(module)

    def prepare(self):
        import torch

        torch.manual_seed(0)
        self.input_size = self.settings["image_size"] or 256

    def fit(self):
        from anomalib.engine import Engine
        from anomalib.models import Padim

        # Random weights where none are given: none are downloaded, and they do not change times.
        # Without the visualizer, which would draw pictures at each prediction.
        self.model = Padim(**self._parameters(), pre_trained=False, visualizer=False)
        if self.settings["lite0"]:
            self._load_lite0()
        self.engine = Engine(accelerator="cpu")
        self.engine.fit(model=self.model, datamodule=self._data(masks=True))

    def predict(self):
        return self._predict()

    def predict_with_pictures(self):
        self.model.visualizer = self.model.configure_visualizer()
        self._predict()
        self.model.visualizer = None

    def infer(self, images):
        import numpy as np
        import torch
        from torchvision.transforms.v2.functional import to_dtype

        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        self.model.eval()
        with torch.inference_mode():
            result = self.model(to_dtype(batch, torch.float32, scale=True))
        return result.anomaly_map.numpy(), result.pred_label.numpy()

    def export(self):
        import numpy as np
        from anomalib.deploy import ExportType, OpenVINOInferencer

        size = (self.input_size, self.input_size)
        path = self.engine.export(
            self.model, ExportType.OPENVINO, export_root=Path.cwd(), input_size=size
        )
        inferencer = OpenVINOInferencer(path, device="CPU")
        return lambda images: inferencer.predict(np.stack(images))

    def save(self):
        # The checkpoint that fit wrote.
        return Path(self.engine.best_model_path).stat().st_size, 0

    def heatmaps(self):
        # As its metrics see them, which clamping to [0, 1] would tie.
        import torch

        self.model.post_processor.enable_normalization = False
        batches = self._predict()
        self.model.post_processor.enable_normalization = True
        paths = [os.path.realpath(path) for batch in batches for path in batch.image_path]
        order = [paths.index(os.path.realpath(path)) for path in self.request["test"]]
        return torch.cat([batch.anomaly_map for batch in batches])[order].numpy()

    def describe(self):
        from importlib.metadata import version

        names = ("anomalib", "lightning", "torch", "timm", "numpy", "openvino")
        size, model = self.input_size, self.model.model
        _, grid = model.gaussian.mean.shape
        return (
            f"Engine, Folder and Padim, {model.backbone}, "
            + ("the same weights" if self.settings["lite0"] else "random weights")
            + f", {len(model.idx)} dimensions; input {size} x {size}, {grid} grid positions, "
            "batches of 32, 8 processes that load data. fit includes the validation on half of "
            "the test images, which sets the thresholds, and the checkpoint"
        ), {name: version(name) for name in names}

    def _parameters(self):
        parameters = dict(self.settings["padim"])
        if self.settings["image_size"]:
            from anomalib.pre_processing import PreProcessor
            from torchvision.transforms.v2 import Compose, Normalize, Resize

            size = (self.settings["image_size"],) * 2
            # What the weights of Lite0 were trained with; random ones take any.
            normalize = Normalize([127 / 255] * 3, [128 / 255] * 3)
            transform = Compose([Resize(size, antialias=True), normalize])
            parameters["pre_processor"] = PreProcessor(transform=transform)
        return parameters

    def _load_lite0(self):
        import timm
        import torch

        state = torch.load(self.request["weights"], map_location="cpu", weights_only=True)
        # The tensors are in timm's order under other names; shapes are checked when they load.
        whole = timm.create_model("tf_efficientnet_lite0")
        whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
        backbone = self.model.model.feature_extractor.feature_extractor
        backbone.load_state_dict({k: whole.state_dict()[k] for k in backbone.state_dict()})

    def _data(self, masks, **parameters):
        from anomalib.data import Folder

        root = Path(self.request["category"])
        defects = self.request["defects"]
        return Folder(
            name=root.name,
            root=root,
            normal_dir="train/good",
            normal_test_dir="test/good",
            abnormal_dir=[f"test/{defect}" for defect in defects],
            mask_dir=[f"ground_truth/{defect}" for defect in defects] if masks else None,
            seed=1,
            **parameters,
        )

    def _predict(self):
        from anomalib.engine import Engine

        # All test images: by default half of them are for validation. Masks are not needed.
        data = self._data(masks=False, val_split_mode="none")
        return Engine(accelerator="cpu").predict(model=self.model, datamodule=data)


if __name__ == "__main__":
    serve(Anomalib)
