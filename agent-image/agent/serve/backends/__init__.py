"""What runs the network: backends, and the choice between them.

network.py       what a backend is to the detector; the errors
onnx_runtime.py  onnxruntime, on processors (the reference) and by CUDA or TensorRT
open_vino.py     OpenVINO, on processors, in float32 or in the precision that the processor has units for
probes.py        the frames of a trial, and how far two backends' answers to them may lie apart
choice.py        which one: the named one, or the fastest whose answers are the reference's
"""
