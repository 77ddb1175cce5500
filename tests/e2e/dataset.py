"""Generated but real data: pictures of bolts, nuts and washers on a cluttered bench, in the YOLO layout on disk.

Nothing can be downloaded where the demo runs, so the pictures are drawn. They are ordinary JPEG files with ordinary
label files; the trainer and the agents know nothing of how they came to be. Everything follows from the seed.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("bolt", "nut", "washer")
SIZE = 160  # pixels, square


@dataclass(frozen=True)
class Scene:
    """What the camera sees besides the objects themselves, and how many of them (from, up to and without).

    `gloom`: at dusk a dim, bluish light falls on a ribbed belt, which is where the bench was. `size`: pixels, square.
    """

    objects: tuple[int, int] = (2, 6)
    gloom: bool = False
    size: int = SIZE


BENCH = Scene()
QUIET = Scene(objects=(1, 4))
"""Two objects where there were three and a half, and all else as before."""
DUSK = Scene(gloom=True)


@dataclass(frozen=True)
class Box:
    """One labelled object: class index, centre and size as shares of the image (the YOLO convention)."""

    label: int
    x: float
    y: float
    width: float
    height: float

    def line(self) -> str:
        return f"{self.label} {self.x:.6f} {self.y:.6f} {self.width:.6f} {self.height:.6f}"


def write_dataset(
    root: Path,
    *,
    images: int,
    seed: int,
    validation: float = 0.25,
    drop_class: str | None = None,
    scene: Scene = BENCH,
) -> Path:
    """Write `images` labelled pictures below `root` as train/ and val/, with a data.yaml; return `root`.

    `drop_class` leaves every box of that class out of the label files, in both parts alike: what an annotation
    export with a lost class does. The pictures still show the objects, so the data's own validation can't notice.
    """
    rng = np.random.default_rng(seed)
    held_out = round(images * validation)
    for index in range(images):
        part = "val" if index < held_out else "train"
        picture, boxes = draw(rng, scene)
        if drop_class is not None:
            boxes = [box for box in boxes if CLASSES[box.label] != drop_class]
        name = f"{seed:04d}-{index:05d}"
        _write_picture(root / part / "images" / f"{name}.jpg", picture)
        label_file = root / part / "labels" / f"{name}.txt"
        label_file.parent.mkdir(parents=True, exist_ok=True)
        label_file.write_text("".join(box.line() + "\n" for box in boxes))
    names = "".join(f"  {index}: {name}\n" for index, name in enumerate(CLASSES))
    (root / "data.yaml").write_text(f"train: train/images\nval: val/images\nnames:\n{names}")
    return root


def write_frames(root: Path, *, count: int, seed: int, scene: Scene = BENCH) -> Iterator[tuple[np.ndarray, list[Box]]]:
    """Write `count` unlabelled pictures, what one node's camera sees in production, and give each with what is on it.

    Those that are there are replaced one by one, so that whoever reads them meanwhile never meets half a picture.
    """
    rng = np.random.default_rng(seed)
    for index in range(count):
        made, picture = root / f"{index:05d}.new.jpg", root / f"{index:05d}.jpg"
        drawn, boxes = draw(rng, scene)
        _write_picture(made, drawn)
        made.replace(picture)
        yield drawn, boxes


def archive(root: Path, target: Path) -> Path:
    """Pack a dataset as a tar whose bytes depend on its contents alone, so that a digest can pin it."""
    with tarfile.open(target, "w") as tar:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            info = tar.gettarinfo(path, arcname=str(path.relative_to(root)))
            info.mtime, info.uid, info.gid, info.uname, info.gname, info.mode = 0, 0, 0, "", "", 0o644
            with path.open("rb") as source:
                tar.addfile(info, source)
    return target


def draw(rng: np.random.Generator, scene: Scene = BENCH) -> tuple[np.ndarray, list[Box]]:
    """One picture, uint8 of the scene's size in BGR, and its boxes: objects that hardly overlap."""
    picture = _belt(rng, scene.size) if scene.gloom else _bench(rng, scene.size)
    boxes: list[Box] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(*scene.objects))):
        radius = float(rng.uniform(11, 20))
        for _attempt in range(20):
            x, y = rng.uniform(radius + 2, scene.size - radius - 2, size=2)
            if all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in taken):
                break
        else:
            continue
        taken.append((x, y, radius))
        label = int(rng.integers(len(CLASSES)))
        outline = _DRAW[label](picture, rng, x, y, radius)
        boxes.append(_box(label, outline, scene.size))
    if scene.gloom:
        dim = np.array([0.5, 0.4, 0.34]) * rng.uniform(0.85, 1.15)
        picture = np.clip(picture * dim, 0, 255).astype(np.uint8)
    noise = rng.normal(0, rng.uniform(2, 7), picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), boxes


def _bench(rng: np.random.Generator, side: int) -> np.ndarray:
    """A background: uneven light on a textured surface with scratches, stains and shadows that are not objects."""
    base = rng.uniform(50, 190, size=3)
    slope = rng.uniform(-40, 40, size=2)
    grid = np.linspace(-0.5, 0.5, side)
    light = grid[None, :] * slope[0] + grid[:, None] * slope[1]
    texture = cv2.resize(rng.normal(0, 10, (20, 20)), (side, side), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(base + (light + texture)[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(4, 10))):
        color = tuple(int(c) for c in rng.uniform(30, 220, size=3))
        a, b = rng.integers(0, side, size=(2, 2))
        if rng.random() < 0.6:
            cv2.line(picture, tuple(map(int, a)), tuple(map(int, b)), color, 1, cv2.LINE_AA)
        else:
            axes = tuple(int(v) for v in rng.integers(2, 7, size=2))
            cv2.ellipse(picture, tuple(map(int, a)), axes, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    return picture


def _belt(rng: np.random.Generator, side: int) -> np.ndarray:
    """Another background: a green belt with ribs, which runs in any direction, stained like the bench."""
    picture = _bench(rng, side)
    angle, width = rng.uniform(0, np.pi), rng.uniform(5, 9)
    grid = np.arange(side)
    along = grid[None, :] * np.cos(angle) + grid[:, None] * np.sin(angle)
    ribs = 40 * np.sign(np.sin(2 * np.pi * along / width))
    belt = np.array([70, 150, 80]) + ribs[..., None]
    return np.clip(0.35 * picture + 0.75 * belt, 0, 255).astype(np.uint8)


def _steel(rng: np.random.Generator) -> tuple[int, int, int]:
    shade = rng.uniform(150, 240)
    blue, green, red = (int(np.clip(shade + rng.uniform(-15, 15), 0, 255)) for _ in range(3))
    return blue, green, red


def _turned(points: np.ndarray, angle: float, x: float, y: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return (points @ np.array([[c, s], [-s, c]]) + (x, y)).astype(np.float32)


def _fill(picture: np.ndarray, points: np.ndarray, color: tuple[int, int, int]) -> None:
    polygon = np.round(points).astype(np.int32)
    cv2.fillPoly(picture, [polygon], color, cv2.LINE_AA)
    cv2.polylines(picture, [polygon], True, (40, 40, 40), 1, cv2.LINE_AA)


def _bolt(picture: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float) -> np.ndarray:
    angle, color = rng.uniform(0, 2 * np.pi), _steel(rng)
    shaft = np.array([[-0.4, -0.22], [1.0, -0.22], [1.0, 0.22], [-0.4, 0.22]]) * r
    head = np.array([[-1.0, -0.55], [-0.4, -0.55], [-0.4, 0.55], [-1.0, 0.55]]) * r
    parts = [_turned(shaft, angle, x, y), _turned(head, angle, x, y)]
    for part in parts:
        _fill(picture, part, color)
    return np.concatenate(parts)


def _nut(picture: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float) -> np.ndarray:
    angle, color = rng.uniform(0, 2 * np.pi), _steel(rng)
    corners = np.arange(6) * np.pi / 3
    hexagon = _turned(np.stack([np.cos(corners), np.sin(corners)], axis=1) * r * 0.9, angle, x, y)
    _fill(picture, hexagon, color)
    cv2.circle(picture, (round(x), round(y)), round(r * 0.4), (30, 30, 30), -1, cv2.LINE_AA)
    return hexagon


def _washer(picture: np.ndarray, rng: np.random.Generator, x: float, y: float, r: float) -> np.ndarray:
    outer, ring = r * 0.9, max(2, round(r * 0.3))
    centre = (round(x), round(y))
    cv2.circle(picture, centre, round(outer - ring / 2), _steel(rng), ring, cv2.LINE_AA)
    for edge in (outer, outer - ring):
        cv2.circle(picture, centre, round(edge), (40, 40, 40), 1, cv2.LINE_AA)
    return np.array([[x - outer, y - outer], [x + outer, y + outer]], dtype=np.float32)


_DRAW = (_bolt, _nut, _washer)


def _box(label: int, outline: np.ndarray, side: int) -> Box:
    left, top = np.clip(outline.min(axis=0), 0, side - 1) / side
    right, bottom = np.clip(outline.max(axis=0), 0, side - 1) / side
    return Box(label, float(left + right) / 2, float(top + bottom) / 2, float(right - left), float(bottom - top))


def _write_picture(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 92]):
        raise OSError(f"could not write {path}")
