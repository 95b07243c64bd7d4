"""Judge pictures over HTTP by a detector that skpadim.save has written.

SKPADIM_MODEL=flange.skpadim uvicorn --app-dir examples/serving app:app
curl http://127.0.0.1:8000/predict -H "Content-Type: image/png" --data-binary @part.png
"""

import io
import os
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Request
from PIL import Image

import skpadim
from skpadim.images import ImageSequence

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
MAX_BYTES = 20 * 2**20  # of a request's body
MAX_PIXELS = 25_000_000  # of a picture: a small file can claim any size
MAX_PICTURES = 4  # decoded at once: up to 100 MB each; the others wait as the files that they are


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model once, and refuse to start with one that cannot work."""
    if not os.environ.get("SKPADIM_MODEL"):
        raise ValueError("the environment variable SKPADIM_MODEL must name a file of skpadim.save.")
    app.state.detector = skpadim.load(os.environ["SKPADIM_MODEL"], mmap=False)
    # The first picture builds the network: here, not while a client waits.
    with warnings.catch_warnings(action="ignore"):  # it is unlike the training images
        app.state.detector.predict(np.zeros((1, 64, 64, 3), np.uint8))
    yield


decoding = threading.BoundedSemaphore(MAX_PICTURES)
app = FastAPI(lifespan=lifespan, openapi_url=None)  # its pages load scripts from elsewhere


@app.get("/health")
def health(request: Request) -> dict[str, Any]:
    """Answer, which says that the model has been loaded and has scored a picture."""
    detector = request.app.state.detector
    return {"images": detector.n_samples_seen_, "threshold": detector.offset_}


async def read_body(request: Request) -> bytes:
    """Read what a client sends, up to a limit: the length that it announces may be wrong."""
    content_type = request.headers.get("Content-Type")
    if content_type not in FORMATS:
        raise HTTPException(415, f"Content-Type is {content_type!r}, not one of {list(FORMATS)}.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"the body has more than {MAX_BYTES} bytes.")
    return bytes(body)


def decode(body: bytes, format: str) -> ImageSequence:
    """Turn a body into a picture, or say why it is none."""
    try:
        image = Image.open(io.BytesIO(body), formats=[format])
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
        Image.open(io.BytesIO(body), formats=[format]).verify()  # checksums, where there are any
        return ImageSequence([image])  # reads all of it
    except Image.DecompressionBombError as error:
        raise HTTPException(413, f"the picture is too large: {error}.") from error
    except Exception as error:  # decoders of damaged files raise anything
        raise HTTPException(422, f"{len(body)} bytes are no {format}, or a damaged one.") from error


# No "async" here, so that FastAPI runs it in threads, for several clients at a time.
@app.post("/predict")
def predict(request: Request, body: Annotated[bytes, Depends(read_body)]) -> dict[str, Any]:
    """Judge one picture."""
    detector = request.app.state.detector
    with decoding:  # and scoring: until then, the picture is in memory
        images = decode(body, FORMATS[request.headers["Content-Type"]])
        (inspection,) = detector.iter_inspect(images)
    decision = "good" if inspection.decision == 1 else "defective"
    return {"decision": decision, "score": inspection.score, "threshold": inspection.threshold}
