#!/bin/sh
# The trainer on a machine with one GPU and no network, in at most eight minutes (gpu.py says what is checked).
#   sh benchmarks/training/gpu.sh pack          where there are registries: what that machine lacks, into .gpu/ (37 MiB)
#   sh benchmarks/training/gpu.sh run RESULT    on the machine: Python 3.12 with torch, torchvision, OpenCV, ONNX and
#                                               onnxruntime of its own, and .gpu/site.tar.xz beside this repository's tree
#   sh benchmarks/training/gpu.sh run RESULT --cpu    the same steps small, to try it where there is no GPU
# Without .gpu/ the packages of the machine's own Python are taken, as in the trainer image.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
pack=$root/.gpu

case "${1:-}" in
pack)
    # Versions and digests are the trainer's own lock's. polars is large, and ultralytics imports it: xz brings it below
    # what may travel.
    rm -rf "$pack" && mkdir -p "$pack/wheels"
    for name in obstore onnxslim polars polars-runtime-32 ultralytics ultralytics-platform ultralytics-thop xxhash; do
        awk -v name="$name==" 'index($0, name) == 1 {on = 1} on {print} on && !/\\$/ {exit}' "$root/trainer-image/requirements.txt"
    done > "$pack/requirements.txt"
    python3 -m pip install --quiet --no-deps --no-compile --require-hashes --only-binary=:all: --python-version 3.12 \
        --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux2014_x86_64 --target "$pack/site" -r "$pack/requirements.txt"
    tar -C "$pack/site" -cJf "$pack/site.tar.xz" .
    rm -rf "$pack/site" "$pack/wheels"
    ls -l "$pack"
    ;;
run)
    [ $# -ge 2 ] || { echo "say where the result goes: $0 run RESULT.json" >&2; exit 2; }
    shift
    python=$(command -v python3 || command -v python)
    own=$(mktemp -d)
    trap 'rm -rf "$own"' EXIT
    paths=$root/trainer-image:$root/dataset:$root/artifacts:$root/tests:$root/benchmarks/training
    if [ -f "$pack/site.tar.xz" ]; then
        mkdir "$own/site"
        "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2], filter="data")' \
            "$pack/site.tar.xz" "$own/site"
        paths=$paths:$own/site
    fi
    # what `inside` calls by these names
    mkdir "$own/bin"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" > "$own/bin/python"
    printf '#!/bin/sh\nexec "%s" -P -c "from ultralytics.cfg import entrypoint; entrypoint()" "$@"\n' "$python" > "$own/bin/yolo"
    chmod +x "$own/bin/python" "$own/bin/yolo"
    export PATH="$own/bin:$PATH" PYTHONPATH="$paths${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
    export YOLO_CONFIG_DIR="$own/ultralytics" YOLO_OFFLINE=true YOLO_AUTOINSTALL=false MPLBACKEND=agg
    mkdir -p "$YOLO_CONFIG_DIR"
    "$python" -P "$root/benchmarks/training/gpu.py" "$@"
    ;;
*)
    sed -n '2,7s/^# //p' "$0"
    exit 2
    ;;
esac
