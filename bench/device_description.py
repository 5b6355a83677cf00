"""cuDNN's description of a GPU (JSON), for plans of a GPU that is not there: device_description.py FILE [ORDINAL]

Compared with a file of tests/cuda/devices: what differs is printed. Needs Python and the library alone."""
import ctypes
import json
import os
import sys

DESCRIPTOR, DEVICE_ID, JSON = 38, 2700, 2702  # cudnn_graph.h
TYPE_CHAR, TYPE_INT32 = 24, 23


def good(cudnn, status, what):
    if status:
        text = ctypes.create_string_buffer(512)
        cudnn.cudnnGetLastErrorString(text, ctypes.c_size_t(len(text)))
        sys.exit(f"{what}: status {status}: {text.value.decode(errors='replace')}")


def describe(ordinal):
    try:
        cudnn = ctypes.CDLL("libcudnn.so.9")
    except OSError as why:
        print(why)
        sys.exit(77)
    handle, at, count = ctypes.c_void_p(), ctypes.c_int32(ordinal), ctypes.c_int64()
    text = ctypes.create_string_buffer(1 << 20)
    good(cudnn, cudnn.cudnnBackendCreateDescriptor(DESCRIPTOR, ctypes.byref(handle)), "a descriptor")
    good(cudnn, cudnn.cudnnBackendSetAttribute(handle, DEVICE_ID, TYPE_INT32, ctypes.c_int64(1), ctypes.byref(at)),
         "choosing the device")
    good(cudnn, cudnn.cudnnBackendFinalize(handle), "reading the device")
    good(cudnn, cudnn.cudnnBackendGetAttribute(handle, JSON, TYPE_CHAR, ctypes.c_int64(len(text)),
                                               ctypes.byref(count), text), "the description")
    return json.loads(text.value.decode())


def flat(value, at=""):
    if isinstance(value, dict):
        return {k: v for name in value for k, v in flat(value[name], f"{at}/{name}").items()}
    return {at: value}


described = describe(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
with open(sys.argv[1], "w") as f:
    json.dump(described, f, indent=1)
known = os.path.join(os.path.dirname(__file__), "../tests/cuda/devices/h200.json")
if os.path.exists(known):
    with open(known) as f:
        ours, theirs = flat(json.load(f)), flat(described)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            print(f"{name}: h200.json has {ours.get(name)}, this GPU {theirs.get(name)}")
