"""Published weights: a catalogue of their sources, downloads, and a cache in the user's folder. Needs no torch."""

from persam_hq.hub.cache import FOLDER_VARIABLE, Cache, cached_path, default_folder
from persam_hq.hub.catalogue import PUBLISHED, Published, published
from persam_hq.hub.download import OFFLINE_VARIABLE, download

__all__ = [
    "FOLDER_VARIABLE",
    "OFFLINE_VARIABLE",
    "PUBLISHED",
    "Cache",
    "Published",
    "cached_path",
    "default_folder",
    "download",
    "published",
]
