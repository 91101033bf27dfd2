import pytest
import tensorflow as tf

from kits_tf.base.errors import InputError
from kits_tf.training.strategy import choose_strategy, is_chief, num_workers


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_an_ill_formed_cluster_is_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=r'TF_CONFIG: expected \{"cluster": .*, got ') as caught:
        choose_strategy()
    assert str(caught.value).endswith(text)


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}'])
def test_a_cluster_of_one_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    strategy = choose_strategy()
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
    assert num_workers(strategy) == 1 and is_chief(strategy)
