"""Print a digest of what a small model computes, a line for each of `argv[1]` threads that work at the same time."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor

import torch
from golden.fill_weights import fill_state_dict
from golden.fixtures import fixture_image

from persam_hq import sam_model_registry
from persam_hq.predictor import decode, encode
from persam_hq.types import PromptSet


def digest(model):
    """A digest of the features of an image, and of the masks at a point."""
    features = encode(model, fixture_image(192, 256, seed=1))
    masks = decode(model, features, PromptSet.from_points(positive=[(100.0, 90.0)]))
    parts = [features.image_embedding, features.interm_embeddings[0], masks.low_res_logits, masks.scores, masks.logits]
    return hashlib.sha256(b"".join(part.contiguous().numpy().tobytes() for part in parts)).hexdigest()


def main():
    torch.set_num_threads(1)
    threads = int(sys.argv[1])
    model = sam_model_registry["vit_tiny"](hq=True)
    fill_state_dict(model)
    with ThreadPoolExecutor(threads) as pool:
        sys.stdout.write("\n".join(pool.map(digest, [model] * threads)))


if __name__ == "__main__":
    main()
