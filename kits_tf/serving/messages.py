"""TensorFlow Serving's messages and methods, declared without TensorFlow, so that a client starts in a moment.

Names and numbers are those of tensorflow/core/framework, tensorflow/core/protobuf/meta_graph.proto and
tensorflow_serving/apis; tests compare with the package tensorflow-serving-api. Only what is used here is declared:
protobuf ignores the rest. They live in a pool of their own, so that TensorFlow can be imported in the same process.
"""

from typing import Any

from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

# A scan's message has hundreds of megabytes, of which gRPC would take 16 kB at a time: almost twice as fast.
LARGE_MESSAGES = [("grpc.http2.max_frame_size", 2**24 - 1), ("grpc.http2.lookahead_bytes", 2**26)]

# (name, number, type); a type with "*" is repeated, "map:" maps text to it.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "tensorflow.Dim": (("size", 1, "int64"), ("name", 2, "string")),
    "tensorflow.TensorShapeProto": (("dim", 2, "*tensorflow.Dim"), ("unknown_rank", 3, "bool")),
    "tensorflow.TensorProto": (
        ("dtype", 1, "int32"),
        ("tensor_shape", 2, "tensorflow.TensorShapeProto"),
        ("version_number", 3, "int32"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "*float"),
        ("double_val", 6, "*double"),
        ("int_val", 7, "*int32"),
        ("string_val", 8, "*bytes"),
        ("int64_val", 10, "*int64"),
        ("bool_val", 11, "*bool"),
        ("half_val", 13, "*int32"),
    ),
    "tensorflow.TensorInfo": (
        ("name", 1, "string"),
        ("dtype", 2, "int32"),
        ("tensor_shape", 3, "tensorflow.TensorShapeProto"),
    ),
    "tensorflow.SignatureDef": (
        ("inputs", 1, "map:tensorflow.TensorInfo"),
        ("outputs", 2, "map:tensorflow.TensorInfo"),
        ("method_name", 3, "string"),
    ),
    "tensorflow.serving.ModelSpec": (
        ("name", 1, "string"),
        ("version", 2, "google.protobuf.Int64Value"),
        ("signature_name", 3, "string"),
        ("version_label", 4, "string"),
    ),
    "tensorflow.serving.PredictRequest": (
        ("model_spec", 1, "tensorflow.serving.ModelSpec"),
        ("inputs", 2, "map:tensorflow.TensorProto"),
        ("output_filter", 3, "*string"),
    ),
    "tensorflow.serving.PredictResponse": (
        ("outputs", 1, "map:tensorflow.TensorProto"),
        ("model_spec", 2, "tensorflow.serving.ModelSpec"),
    ),
    "tensorflow.serving.SignatureDefMap": (("signature_def", 1, "map:tensorflow.SignatureDef"),),
    "tensorflow.serving.GetModelMetadataRequest": (
        ("model_spec", 1, "tensorflow.serving.ModelSpec"),
        ("metadata_field", 2, "*string"),
    ),
    "tensorflow.serving.GetModelMetadataResponse": (
        ("model_spec", 1, "tensorflow.serving.ModelSpec"),
        ("metadata", 2, "map:google.protobuf.Any"),
    ),
    "tensorflow.serving.GetModelStatusRequest": (("model_spec", 1, "tensorflow.serving.ModelSpec"),),
    "tensorflow.serving.StatusProto": (("error_code", 1, "int32"), ("error_message", 2, "string")),
    "tensorflow.serving.ModelVersionStatus": (
        ("version", 1, "int64"),
        ("state", 2, "int32"),
        ("status", 3, "tensorflow.serving.StatusProto"),
    ),
    "tensorflow.serving.GetModelStatusResponse": (
        ("model_version_status", 1, "*tensorflow.serving.ModelVersionStatus"),
    ),
    "tensorflow.serving.PredictLog": (
        ("request", 1, "tensorflow.serving.PredictRequest"),
        ("response", 2, "tensorflow.serving.PredictResponse"),
    ),
    "tensorflow.serving.PredictionLog": (("predict_log", 6, "tensorflow.serving.PredictLog"),),
}
# ModelVersionStatus.State
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
LOADING = 20
AVAILABLE = 30
END = 50


def _field(name: str, number: int, kind: str) -> FieldDescriptorProto:
    is_repeated = kind.startswith("*")
    kind = kind.removeprefix("*")
    field = FieldDescriptorProto(name=name, number=number)
    field.label = FieldDescriptorProto.LABEL_REPEATED if is_repeated else FieldDescriptorProto.LABEL_OPTIONAL
    if "." in kind:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{kind}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    return field


def _message(full_name: str, fields: tuple[tuple[str, int, str], ...]) -> DescriptorProto:
    message = DescriptorProto(name=full_name.rpartition(".")[2])
    for name, number, kind in fields:
        if not kind.startswith("map:"):
            message.field.append(_field(name, number, kind))
            continue
        # As the language defines a map: a repeated message of key and value.
        entry = message.nested_type.add(name="".join(map(str.capitalize, name.split("_"))) + "Entry")
        entry.field.extend([_field("key", 1, "string"), _field("value", 2, kind.removeprefix("map:"))])
        entry.options.map_entry = True
        message.field.append(_field(name, number, f"*{full_name}.{entry.name}"))
    return message


def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    known = [any_pb2, wrappers_pb2]
    for module in known:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    packages = ("tensorflow", "tensorflow.serving")
    for package in packages:
        file = FileDescriptorProto(name=f"kits_tf/{package}.proto", package=package, syntax="proto3")
        file.dependency.extend(module.DESCRIPTOR.name for module in known)
        file.dependency.extend(f"kits_tf/{other}.proto" for other in packages[: packages.index(package)])
        for full_name, fields in _MESSAGES.items():
            if full_name.rpartition(".")[0] == package:
                file.message_type.append(_message(full_name, fields))
        pool.Add(file)
    return pool


_POOL = _pool()


def _class(full_name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(full_name))


TensorProto = _class("tensorflow.TensorProto")
PredictRequest = _class("tensorflow.serving.PredictRequest")
PredictResponse = _class("tensorflow.serving.PredictResponse")
SignatureDefMap = _class("tensorflow.serving.SignatureDefMap")
GetModelMetadataRequest = _class("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _class("tensorflow.serving.GetModelMetadataResponse")
GetModelStatusRequest = _class("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _class("tensorflow.serving.GetModelStatusResponse")
PredictionLog = _class("tensorflow.serving.PredictionLog")
