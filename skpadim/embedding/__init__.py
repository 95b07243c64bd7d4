"""Images -> patch embeddings, by pretrained networks."""

from skpadim.embedding._passthrough import Passthrough
from skpadim.embedding._patch_embedder import PatchEmbedder

__all__ = ["Passthrough", "PatchEmbedder"]
