"""The codec "zstd": a file compressed by Zstandard (RFC 8878) with an older one in front of it, as its dictionary.

It is good where parts are new, or have moved, and the rest is the same to the byte: a net whose head was trained anew,
a layer that was put in. It is what `zstd --patch-from=OLD NEW` writes, and `zstd -d --patch-from=OLD` reads it.
"""

from __future__ import annotations

import zstandard

from edgekit.errors import MalformedError

LEVEL = 19
SMALLEST_WINDOW_LOG, LARGEST_WINDOW_LOG = 20, 28


def make_zstd(old: bytes, new: bytes) -> bytes:
    """The frame that makes `new` of `old`: level 19, with a window that reaches over both."""
    reach = max(len(old) + len(new), 1)
    window_log = min(max((reach - 1).bit_length(), SMALLEST_WINDOW_LOG), LARGEST_WINDOW_LOG)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=window_log, enable_ldm=True, source_size=len(new), dict_size=len(old)
    )
    compressor = zstandard.ZstdCompressor(dict_data=_dictionary(old), compression_params=parameters)
    return compressor.compress(new)


def apply_zstd(old: memoryview, delta: memoryview, *, size_bytes: int) -> bytes:
    """The new file.

    Takes memory for the base once more and for the new file, whatever the frame says.

    Args:
        old: The base.
        delta: The frame.
        size_bytes: Of the new file; a frame that announces another size, or none, is refused before it is unpacked.

    Raises:
        MalformedError: It is no such frame, or not one for this base.
    """
    try:
        announced = zstandard.get_frame_parameters(delta).content_size
    except zstandard.ZstdError as error:
        raise MalformedError(f"no zstd frame: {error}") from error
    if announced != size_bytes:
        told = "does not say of how many" if announced == zstandard.CONTENTSIZE_UNKNOWN else f"of {announced}"
        raise MalformedError(f"a zstd frame {told} bytes, not {size_bytes}")
    reader = zstandard.ZstdDecompressor(dict_data=_dictionary(old), max_window_size=2**LARGEST_WINDOW_LOG)
    try:
        return reader.decompress(delta, max_output_size=size_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedError(f"a zstd frame that cannot be unpacked: {error}") from error


def _dictionary(old: bytes | memoryview) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
