"""Makes moving.h264 and moving.h265, the film of `moving_clip` as cameras send it: no B frames, a key frame each 12.

No package that this project locks has an encoder of the two, so their product lies here. It was made with PyAV 18.1.0,
whose wheels hold x264 and x265, in an environment of its own:
    uv run --no-project --with av==18.1.0 --with opencv-python-headless==5.0.0.93 agent-image/tests/clips/encode.py
Each picture begins with an access unit delimiter, and each key frame with all that a decoder must know.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from moving_clip import COUNT, SIDE, picture  # noqa: E402

_RULES = "keyint=12:min-keyint=12:scenecut=0:bframes=0:aud=1:repeat-headers=1"


def encode(encoder: str, rules: dict[str, str]) -> bytes:
    codec = av.CodecContext.create(encoder, "w")
    codec.width = codec.height = SIDE
    codec.pix_fmt = "yuv420p"
    codec.framerate = 10
    codec.options = {"preset": "medium", "crf": "30"} | rules
    stream = b""
    for number in range(COUNT):
        frame = av.VideoFrame.from_ndarray(picture(number), format="bgr24").reformat(format="yuv420p")
        stream += b"".join(bytes(packet) for packet in codec.encode(frame))
    return stream + b"".join(bytes(packet) for packet in codec.encode(None))


if __name__ == "__main__":
    (HERE / "moving.h264").write_bytes(encode("libx264", {"x264-params": f"{_RULES}:threads=1"}))
    (HERE / "moving.h265").write_bytes(
        encode("libx265", {"x265-params": f"{_RULES}:pools=1:open-gop=0:log-level=error"})
    )
