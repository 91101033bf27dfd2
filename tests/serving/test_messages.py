"""Our messages against TensorFlow Serving's own, byte for byte, and our tensors against TensorFlow's."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2,
)

from kits_tf.base.errors import InputError
from kits_tf.serving import messages, tensors

THEIRS = {
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    "PredictionLog": prediction_log_pb2.PredictionLog,
}
DTYPES = [np.float32, np.float64, np.int32, np.uint8, np.int16, np.int8, np.int64, np.bool_, np.float16]


def wire_fields(descriptor, seen: set[str]) -> dict:
    """Returns number, kind, repetition of all fields below a message; enumerations are numbers on the wire."""
    found = {}
    if descriptor.full_name in seen:
        return found
    for field in descriptor.fields:
        kind = field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type
        below = wire_fields(field.message_type, seen | {descriptor.full_name}) if field.message_type else None
        found[field.name] = (field.number, kind, field.is_repeated, below)
    return found


def missing(ours: dict, theirs: dict, path: str = "") -> list[str]:
    """Returns the fields of ours that are not theirs."""
    found = []
    for name, (*kind, below) in ours.items():
        if name not in theirs or kind != list(theirs[name][:3]):
            found.append(f"{path}.{name}")
        elif below:
            found += missing(below, theirs[name][3], f"{path}.{name}")
    return found


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_every_field_is_theirs(name: str) -> None:
    ours = wire_fields(getattr(messages, name).DESCRIPTOR, set())
    assert not missing(ours, wire_fields(THEIRS[name].DESCRIPTOR, set())) and ours


def test_methods_are_theirs() -> None:
    service = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
    ours = [messages.PREDICT, messages.GET_MODEL_METADATA]
    assert set(ours) <= {f"/{service.full_name}/{method.name}" for method in service.methods}


def test_states_and_types_are_theirs() -> None:
    states = get_model_status_pb2.ModelVersionStatus.State
    assert {number: name for name, number in states.items()} == messages.STATES
    from tensorflow.core.framework import types_pb2

    for number, name in tensors.DTYPE_NAMES.items():
        assert types_pb2.DataType.Name(number) == name


def test_a_request_is_read_by_them_and_theirs_by_us() -> None:
    ours = messages.PredictRequest(
        model_spec={"name": "kits", "version": {"value": 3}, "signature_name": "serving_default"},
        output_filter=["labels"],
    )
    hu = np.arange(-12, 12, dtype=np.int16).reshape(2, 3, 4)
    ours.inputs["hu"].CopyFrom(tensors.to_proto(hu))
    theirs = predict_pb2.PredictRequest.FromString(ours.SerializeToString())
    assert theirs.model_spec.version.value == 3 and list(theirs.output_filter) == ["labels"]
    np.testing.assert_array_equal(tf.make_ndarray(theirs.inputs["hu"]), hu)
    assert messages.PredictRequest.FromString(theirs.SerializeToString()) == ours
    label = predict_pb2.PredictRequest(model_spec={"version_label": "canary"})
    assert messages.PredictRequest.FromString(label.SerializeToString()).model_spec.version_label == "canary"


def test_metadata_is_read_by_them() -> None:
    ours = messages.GetModelMetadataResponse()
    signature = messages.SignatureDefMap()
    signature.signature_def["serving_default"].inputs["hu"].dtype = 5
    ours.metadata["signature_def"].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    ours.metadata["signature_def"].value = signature.SerializeToString()
    theirs = get_model_metadata_pb2.GetModelMetadataResponse.FromString(ours.SerializeToString())
    found = get_model_metadata_pb2.SignatureDefMap()
    assert isinstance(theirs.metadata["signature_def"], any_pb2.Any) and theirs.metadata["signature_def"].Unpack(found)
    assert found.signature_def["serving_default"].inputs["hu"].dtype == tf.int16.as_datatype_enum


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))))
@settings(max_examples=200)
def test_arrays_come_back_and_are_tensorflows(array: np.ndarray) -> None:
    proto = tensors.to_proto(array)
    for found in (tensors.from_proto(proto, "x"), tf.make_ndarray(theirs(proto))):
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@given(st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(max_side=5))))
@settings(max_examples=200)
def test_values_one_by_one_are_read(array: np.ndarray) -> None:
    """As TensorFlow Serving writes its responses."""
    proto = theirs(tensors.to_proto(array))
    proto.tensor_content = b""
    field = {"e": "half_val", "f": "float_val", "d": "double_val", "?": "bool_val", "l": "int64_val", "q": "int64_val"}
    values = array.view(np.uint16) if array.dtype == np.float16 else array
    getattr(proto, field.get(array.dtype.char, "int_val")).extend(values.ravel().tolist())
    ours = messages.TensorProto.FromString(proto.SerializeToString())
    np.testing.assert_array_equal(tensors.from_proto(ours, "x"), array)
    np.testing.assert_array_equal(tf.make_ndarray(proto), array)


def theirs(proto):
    return tf.make_tensor_proto(0).__class__.FromString(proto.SerializeToString())


def test_text_comes_back() -> None:
    text = np.array(b"{}", np.object_)
    assert tensors.from_proto(tensors.to_proto(text), "json").item() == b"{}"
    assert tf.make_ndarray(theirs(tensors.to_proto(text))).item() == b"{}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dtype": 99}, "x: expected a tensor of numbers or strings, got DataType 99"),
        ({"dtype": 0}, "x: expected a tensor of numbers or strings, got DataType 0"),
        ({"dtype": 5, "tensor_shape": {"unknown_rank": True}}, r"x: expected a known shape, got \[\]"),
        ({"dtype": 5, "tensor_shape": {"dim": [{"size": -1}]}}, r"x: expected a known shape, got \[-1\]"),
        (
            {"dtype": 5, "tensor_shape": {"dim": [{"size": 10**6}] * 2}, "tensor_content": b"12"},
            r"x: expected 2000000000000 bytes for shape \[1000000, 1000000\] of int16, got 2",
        ),
        (
            {"dtype": 5, "tensor_shape": {"dim": [{"size": 3}]}, "int_val": [1, 2]},
            r"x: expected 3 values for shape \[3\], got 2",
        ),
        ({"dtype": 4, "tensor_shape": {"dim": [{"size": 1}]}, "int_val": [300]}, "x: expected values within uint8"),
        (
            {"dtype": 5, "tensor_shape": {"dim": [{"size": 2**62}] * 3}, "int_val": [1]},
            "x: expected a shape that an array may have",
        ),
        (
            {"dtype": 5, "tensor_shape": {"dim": [{"size": 2**62}, {"size": 2**62}, {"size": 0}]}},
            "x: expected a shape that an array may have",
        ),
        (
            {"dtype": 19, "tensor_shape": {"dim": [{"size": 1}]}, "half_val": [70000]},
            "x: expected values within float16",
        ),
        ({"dtype": 7, "tensor_content": b"abc"}, "x: expected 8 bytes"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tensors.from_proto(messages.TensorProto(**fields), "x")


def test_a_single_value_stands_for_all_and_takes_no_memory() -> None:
    proto = messages.TensorProto(dtype=5, tensor_shape={"dim": [{"size": 10**6}] * 2}, int_val=[7])
    found = tensors.from_proto(proto, "x")
    assert found.shape == (10**6, 10**6) and found[5, 5] == 7 and found.strides == (0, 0)
