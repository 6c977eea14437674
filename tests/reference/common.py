"""What the reference scripts share: a picture that Rust makes bit for bit, and a safetensors writer."""
import json, struct
import numpy as np


def frames(t, h, w):
    """u8 [t, h, w, 3]: stripes and rings from whole numbers only (tests/common/mod.rs has the same line)."""
    t, y, x, c = np.ogrid[:t, :h, :w, :3]
    return ((3 * x + 5 * y + 7 * t + 64 * c + x * y // 8) % 256).astype(np.uint8)


def save(path, arrays):
    """Writes {name: array} (f32 or i64) sorted by name."""
    header, blobs, at = {}, [], 0
    for name, array in sorted(arrays.items()):
        array = np.ascontiguousarray(array)
        blob = array.tobytes()
        dtype = {"float32": "F32", "int64": "I64"}[str(array.dtype)]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))
