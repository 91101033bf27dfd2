"""Runs a SavedModel by the C API that TensorFlow Serving's loader is behind; a process without Python's TensorFlow.

    python c_api.py LIBRARY EXPORT_DIR REQUEST.npz RESPONSE.npz [REQUEST.npz RESPONSE.npz ...]

A request holds the inputs by tensor name, and `outputs`, the tensor names to fetch, with `dtypes`.
"""

import ctypes
import sys

import numpy as np

DTYPES = {"float32": 1, "uint8": 4, "int16": 5, "float16": 19, "string": 7}


class Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def load_library(path):
    library = ctypes.CDLL(path)
    for name in (
        *("TF_NewStatus", "TF_Message", "TF_NewSessionOptions", "TF_NewGraph", "TF_LoadSessionFromSavedModel"),
        *("TF_GraphOperationByName", "TF_AllocateTensor", "TF_TensorData"),
    ):
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    for name in ("TF_Dim", "TF_TensorByteSize"):
        getattr(library, name).restype = ctypes.c_size_t
    return library


class Session:
    def __init__(self, library, export_dir):
        self.tf, self.status = library, ctypes.c_void_p(library.TF_NewStatus())
        self.graph = ctypes.c_void_p(library.TF_NewGraph())
        tags = (ctypes.c_char_p * 1)(b"serve")
        options = ctypes.c_void_p(library.TF_NewSessionOptions())
        self.session = ctypes.c_void_p(
            library.TF_LoadSessionFromSavedModel(
                options, None, export_dir.encode(), tags, 1, self.graph, None, self.status
            )
        )
        self._check()

    def _check(self):
        if self.tf.TF_GetCode(self.status):
            sys.exit(f"status {self.tf.TF_GetCode(self.status)}: {self.tf.TF_Message(self.status).decode()}")

    def _outputs(self, names):
        found = (Output * len(names))()
        for output, name in zip(found, names, strict=True):
            operation, index = name.rsplit(":", 1)
            output.operation = self.tf.TF_GraphOperationByName(self.graph, operation.encode())
            output.index = int(index)
            assert output.operation, name
        return found

    def _tensor(self, array):
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self.tf.TF_AllocateTensor(DTYPES[array.dtype.name], dims, array.ndim, ctypes.c_size_t(array.nbytes))
        data = self.tf.TF_TensorData(ctypes.c_void_p(tensor))
        content = array.tobytes()
        ctypes.memmove(data, content, len(content))
        return tensor

    def _array(self, tensor, dtype):
        tensor = ctypes.c_void_p(tensor)
        shape = [self.tf.TF_Dim(tensor, i) for i in range(self.tf.TF_NumDims(tensor))]
        content = ctypes.string_at(self.tf.TF_TensorData(tensor), self.tf.TF_TensorByteSize(tensor))
        return np.frombuffer(content, dtype).reshape(shape)

    def run(self, inputs, outputs, dtypes):
        values = (ctypes.c_void_p * len(inputs))(*(self._tensor(array) for array in inputs.values()))
        results = (ctypes.c_void_p * len(outputs))()
        self.tf.TF_SessionRun(
            *(self.session, None, self._outputs(list(inputs)), values, len(inputs)),
            *(self._outputs(outputs), results, len(outputs), None, 0, None, self.status),
        )
        self._check()
        return {name: self._array(t, d) for name, t, d in zip(outputs, results, dtypes, strict=True)}


def main(library, export_dir, *places):
    session = Session(load_library(library), export_dir)
    for request, response in zip(places[::2], places[1::2], strict=True):
        with np.load(request) as content:
            inputs = {name: content[name] for name in content.files if name not in ("outputs", "dtypes")}
            outputs, dtypes = content["outputs"].tolist(), content["dtypes"].tolist()
        np.savez(response, **session.run(inputs, outputs, dtypes))
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
