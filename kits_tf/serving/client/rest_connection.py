"""A connection to TensorFlow Serving, or what speaks like it, over REST: slower than gRPC, and through every proxy."""

import json

import numpy as np
import requests
from numpy.typing import NDArray

from kits_tf.base.errors import InputError, UnavailableError
from kits_tf.config import ConnectionSettings
from kits_tf.inference.model import refusal
from kits_tf.serving.client.connection import OUTPUT_DTYPES, NotReadyError, Tensors, read_secrets, with_back_off
from kits_tf.serving.credentials import authorization

_REFUSED, _USELESS = (400, 413, 429), (401, 403, 404, 405)
_UNAVAILABLE = 503


class RestConnection:
    """As `Connection`.

    Args:
        settings: where the server is, and which model is meant.

    Raises:
        InputError: a token or certificate cannot be read.
    """

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._headers = authorization(read_secrets(settings).token)
        self._verify: str | bool = settings.ca_file or True
        model = f"/v1/models/{settings.model_name}"
        if settings.model_version is not None:
            model += f"/versions/{settings.model_version}"
        elif settings.model_label:
            model += f"/labels/{settings.model_label}"
        self._url = f"http{'s' if settings.tls else ''}://{settings.server}{model}:predict"

    def predict(self, signature: str, inputs: Tensors) -> dict[str, NDArray]:
        tensors = {name: array.tolist() for name, array in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": tensors}).encode()
        found = with_back_off(lambda: self._call(body), self._settings)
        if not isinstance(found, dict):  # a signature with one output has it without its name
            found = {"json" if isinstance(found, str) else "probabilities": found}
        return {name: np.array(value, OUTPUT_DTYPES.get(name)) for name, value in found.items()}

    def close(self) -> None:
        pass

    def _call(self, body: bytes) -> object:
        settings = self._settings
        try:
            response = requests.post(
                self._url, body, headers=self._headers, timeout=settings.deadline_s, verify=self._verify
            )
        except requests.ReadTimeout:
            raise InputError(f"{settings.server}: no answer within --deadline_s={settings.deadline_s:g}") from None
        except requests.exceptions.SSLError as error:
            raise UnavailableError(f"{settings.server}: expected a certificate that can be trusted: {error}") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            raise NotReadyError(str(error)[:300]) from None
        try:
            answer = response.json()
            if response.ok:
                return answer["outputs"]
            details = refusal(str(answer["error"]))
        except (ValueError, KeyError, TypeError):
            details = refusal(response.text)
        if response.status_code == _UNAVAILABLE:
            raise NotReadyError(details)
        if response.status_code in _REFUSED:
            raise InputError(f"refused by {settings.server}: {details}")
        kind = UnavailableError if response.status_code in _USELESS else InputError
        raise kind(f"{settings.server}: status {response.status_code}: {details}")
