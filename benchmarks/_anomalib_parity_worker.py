"""Worker of parity_anomalib.py, started by it with the Python of anomalib's environment."""

import json
import os
import sys


def main():
    request = json.load(sys.stdin)
    # Packages print to standard output as they like: that goes to standard error.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with answer:
        json.dump(run(request), answer)


def run(request):
    # Nothing below needs a network; this keeps timm and its hub from trying.
    os.environ["HF_HUB_OFFLINE"] = "1"
    from importlib.metadata import version

    import numpy as np
    import torch
    from anomalib.models.image.padim.torch_model import PadimModel

    images = {name: np.load(path) for name, path in request["images"].items()}
    kept = torch.tensor(request["kept"])
    model = PadimModel(request["backbone"], request["layers"], False, n_features=len(kept))
    load_weights(model, request)
    model.idx = kept
    mean, std = (torch.tensor(request[name]).view(3, 1, 1) for name in ("mean", "std"))

    def batches(images):
        for i in range(0, len(images), 32):
            pixels = torch.stack(
                [resized(image, request["own_resize"]) for image in images[i : i + 32]]
            )
            yield (pixels - mean) / std

    with torch.inference_mode():
        model.train()
        model.feature_extractor.eval()  # as it is: its maps do not depend on the batch
        for batch in batches(images["good"]):
            model(batch)
        if request["float64"]:
            model.memory_bank = [embeddings.double() for embeddings in model.memory_bank]
            model.anomaly_map_generator.double()
            torch.set_default_dtype(torch.float64)  # that of the covariances
        model.fit()
        torch.set_default_dtype(torch.float32)
        model.eval()
        heatmaps = np.concatenate(
            [model(b).anomaly_map[:, 0].numpy() for b in batches(images["new"])]
        )
    np.save(request["heatmaps"], heatmaps)
    return {name: version(name) for name in ("anomalib", "torch", "timm")}


def resized(image, own_resize):
    """Pixels (3, 256, 256) from 0 to 1, resized as anomalib does where they are not yet."""
    import torch
    from torchvision.transforms.v2.functional import resize, to_dtype

    pixels = to_dtype(torch.from_numpy(image).movedim(-1, 0), torch.float32, scale=True)
    return resize(pixels, [256, 256], antialias=True) if own_resize else pixels


def load_weights(model, request):
    import timm
    import torch

    whole = timm.create_model(request["backbone"])
    state = torch.load(request["weights"], map_location="cpu", weights_only=True)
    # Of Lite networks, the tensors are in timm's order under other names; load checks shapes.
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    backbone = model.feature_extractor.feature_extractor
    backbone.load_state_dict({k: whole.state_dict()[k] for k in backbone.state_dict()})


if __name__ == "__main__":
    main()
