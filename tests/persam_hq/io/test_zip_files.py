import io
import zipfile

import pytest

from persam_hq.io.zip_files import has_zip_directory


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("data", bytes(100))
    return buffer.getvalue()


END = zipped()[-22:]
# The directory of a larger format says that there are two disks, which Python 3.11 raises an error for
TWO_DISKS = b"PK\x06\x07" + bytes(12) + (2).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("content", "is_zip"),
    [
        (zipped(), True),
        (zipped()[:-30], False),
        (zipped()[:-22] + TWO_DISKS + END, False),
        (b"", False),
        (b"PK", False),
    ],
)
def test_a_file_with_its_directory(tmp_path, content, is_zip):
    (tmp_path / "f").write_bytes(content)
    assert has_zip_directory(tmp_path / "f") is is_zip
