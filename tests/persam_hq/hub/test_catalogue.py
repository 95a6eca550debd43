import re
from urllib.parse import urlsplit

import pytest

from persam_hq.build.sam import sam_model_registry
from persam_hq.errors import UnknownModelError
from persam_hq.hub import PUBLISHED, published

OFFICIAL = {"dl.fbaipublicfiles.com", "huggingface.co", "github.com"}


@pytest.mark.parametrize("entry", PUBLISHED.values(), ids=PUBLISHED)
def test_every_file_is_described(entry):
    address = urlsplit(entry.url)
    assert (address.scheme, address.netloc in OFFICIAL) == ("https", True)
    assert entry.model in sam_model_registry
    assert 10 < entry.megabytes < 3000
    assert entry.licence == "Apache-2.0"
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert address.path.rsplit("/", 1)[-1] in (entry.file, "model.safetensors")


def test_files_and_sums_are_distinct():
    sums = [entry.sha256 for entry in PUBLISHED.values() if entry.sha256]
    assert len(set(sums)) == len(sums) == 10
    assert len({entry.file for entry in PUBLISHED.values()}) == len(PUBLISHED)


def test_all_published_models_are_there():
    named = {(entry.model, entry.content.split(" (")[0]) for entry in PUBLISHED.values()}
    assert named >= {(f"vit_{size}", kind) for size in "blh" for kind in ("SAM", "SAM-HQ", "mask decoder of SAM alone")}
    assert named >= {("vit_tiny", "MobileSAM"), ("vit_tiny", "Light HQ-SAM")}


def test_an_unknown_name_is_answered_with_the_known_ones():
    assert published("mobile_sam") is PUBLISHED["mobile_sam"]
    with pytest.raises(UnknownModelError, match="no checkpoint is called 'sam2'; known are sam_vit_b, sam_vit_l"):
        published("sam2")
