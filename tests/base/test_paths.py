"""Paths as people write them, in flags, in flag files and as inputs."""

import os
import pwd
from pathlib import Path

import pytest

from kits_tf import app, convert, evaluate, export, measure, predict, train
from kits_tf.base.command import Command, UsageError, all_commands
from kits_tf.base.errors import InputError
from kits_tf.base.paths import absolute, expand_home, listed_paths
from kits_tf.base.settings import flag_fields, is_path
from kits_tf.config import ConnectionSettings


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "flag", "others"),
    [
        (convert, "data_dir", {"records_dir": "r"}),
        (convert, "records_dir", {"data_dir": "d"}),
        (convert, "splits_file", {"data_dir": "d", "records_dir": "r"}),
        (train, "run_dir", {"records_dir": "r"}),
        (train, "initial_weights", {"records_dir": "r", "run_dir": "r"}),
        (train, "cache", {"records_dir": "r", "run_dir": "r"}),
        (export, "export_dir", {"run_dir": "r"}),
        (evaluate, "truth_dir", {"predictions_dir": "p"}),
        (app, "page_token_file", {"model": "m"}),
        (app, "coarse_model", {"model": "m"}),
    ],
)
def test_a_flag_that_begins_with_a_tilde_is_in_the_home(
    command: object, flag: str, others: dict, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "all.flags"
    file.write_text(f"--{flag}=~/from a file\n")
    rest = [f"--{name}={value}" for name, value in others.items()]
    for arguments, expected in (([f"--{flag}=~/a,b/../c/"], "a,b/../c/"), ([f"--flagfile={file}"], "from a file")):
        settings, _ = command.COMMAND.parse([*arguments, *rest])
        found = {item.name: holder for holder, item, _ in flag_fields(command.COMMAND.settings)}
        holder = next(part for part in parts_of(settings) if type(part) is found[flag])
        assert getattr(holder, flag) == f"{home}/{expected}"


def parts_of(settings: object) -> list:
    groups = [value for value in vars(settings).values() if hasattr(value, "__dataclass_fields__")]
    return [settings, *(part for group in groups for part in parts_of(group))]


def test_every_model_of_several_and_every_input_is_expanded(home: Path) -> None:
    settings, inputs = predict.COMMAND.parse(["--model=~/a,b,~/c", "--output_dir=o", "~/x/*.nii.gz", "y", "--", "-z~"])
    assert settings.model == f"{home}/a,b,{home}/c" and inputs == [f"{home}/x/*.nii.gz", "y", "-z~"]


def test_users_are_known_and_all_else_is_left_alone(home: Path) -> None:
    user = pwd.getpwuid(os.getuid())
    assert expand_home(f"~{user.pw_name}/x") == f"{user.pw_dir.rstrip('/')}/x" and expand_home("~") == str(home)
    for text in ("a~", "./~/x", "gs://b/~", "ram://x", "$HOME/x", "", "-", "memory"):
        assert expand_home(text) == text
    with pytest.raises(UsageError, match=r"^--output_dir: ~nobody_here/x: expected a user .* none for nobody_here"):
        measure.COMMAND.parse(["--output_dir=~nobody_here/x", "m.nii.gz"])
    with pytest.raises(UsageError, match=r"^~nobody_here: expected a user"):
        measure.COMMAND.parse(["~nobody_here"])


def test_settings_made_in_python_are_expanded_too(home: Path) -> None:
    assert ConnectionSettings(token_file="~/t").token_file == f"{home}/t"
    with pytest.raises(InputError, match="--ca_file: ~nobody_here: expected a user"):
        ConnectionSettings(ca_file="~nobody_here", tls=True)


@pytest.mark.parametrize("command", all_commands().values(), ids=lambda command: command.name)
def test_flags_whose_help_begins_with_a_file_or_folder_are_paths(command: Command) -> None:
    for _, item, _ in flag_fields(command.settings):
        if item.metadata["help"].startswith(("Folder", "File", "PEM", "Zip", "PNG", "JSON file", "A run")):
            assert is_path(item), item.name


def test_a_folder_with_a_comma_in_its_name_is_one(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    assert listed_paths(str(folder)) == [f"{tmp_path}/a", "b"]
    folder.mkdir()
    assert listed_paths(str(folder)) == [str(folder)]


def test_absolute_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert [absolute(path) for path in ("a/../b", "/c", "gs://b/x", "")] == [f"{tmp_path}/b", "/c", "gs://b/x", ""]
