from dataclasses import replace
from pathlib import Path

import pytest
from conftest import train_settings

from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import to_flagfile
from kits_tf.config import InferenceSettings
from kits_tf.inference.own_settings import notices, own_settings
from kits_tf.training.run_files import FLAGS, NOTICE, POSTPROCESS

OWN = InferenceSettings(flip_axes="x", coarse_model="coarse", postprocess="kidneys,fill", overlap=0.25)


def write_run(folder: Path, own: InferenceSettings = OWN) -> Path:
    (folder / "coarse").mkdir(parents=True)
    settings = replace(train_settings(folder / "records", folder), inference=own)
    (folder / FLAGS).write_text(to_flagfile(settings, "train"))
    return folder


def test_what_is_not_given_is_the_runs_own(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert own_settings([run], InferenceSettings()) == InferenceSettings(
        flip_axes="x", coarse_model=str(run / "coarse"), postprocess="kidneys,fill"
    )


def test_what_is_given_goes_before_and_off_is_none(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    given = InferenceSettings(flip_axes="zy", coarse_model="off", postprocess="off", overlap=0.75)
    assert own_settings([run], given) == replace(given, coarse_model="")
    given = InferenceSettings(flip_axes="off", coarse_model="/other", postprocess="touch")
    assert own_settings([run], given) == replace(given, flip_axes="")


def test_a_coarse_model_lies_where_the_run_says(tmp_path: Path) -> None:
    (tmp_path / "a/coarse").mkdir(parents=True)
    beside = write_run(tmp_path / "a" / "run", replace(OWN, coarse_model=f"../coarse,{tmp_path}"))
    assert own_settings([beside], InferenceSettings()).coarse_model == f"{tmp_path}/a/coarse,{tmp_path}"
    packaged = write_run(tmp_path / "c", replace(OWN, coarse_model="starter/coarse"))
    assert own_settings([packaged], InferenceSettings()).coarse_model == "starter/coarse"
    without = write_run(tmp_path / "b", replace(OWN, coarse_model="off"))
    assert own_settings([without], InferenceSettings()).coarse_model == ""
    (tmp_path / "a/coarse").rmdir()
    with pytest.raises(InputError, match=r"a/run/train.flags: names the first stage .*/a/coarse, found no such folder"):
        own_settings([beside], InferenceSettings())
    assert own_settings([beside], InferenceSettings(coarse_model="/given")).coarse_model == "/given"


def test_chosen_postprocessing_goes_before_that_of_the_flags(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / POSTPROCESS).write_text('{"chain": "touch"}')
    assert own_settings([run], InferenceSettings()).postprocess == ""


def test_averaged_runs_have_settings_of_their_own_where_they_agree(tmp_path: Path) -> None:
    absolute = replace(OWN, coarse_model=str(tmp_path))
    first, second = write_run(tmp_path / "folds/fold0", absolute), write_run(tmp_path / "folds/fold1", absolute)
    assert own_settings([first, second], InferenceSettings()).flip_axes == "x"
    (first / POSTPROCESS).write_text('{"chain": "touch"}')
    other = write_run(tmp_path / "other", replace(absolute, flip_axes="y"))
    expected = InferenceSettings(overlap=0.1, coarse_model=str(tmp_path))
    assert own_settings([first, second, other], InferenceSettings(overlap=0.1)) == expected


def test_what_is_no_run_has_no_settings_of_its_own(tmp_path: Path) -> None:
    given = InferenceSettings(flip_axes="x")
    assert own_settings([tmp_path / "nothing"], given) == given
    flags = write_run(tmp_path / "run") / FLAGS
    flags.write_text(flags.read_text().replace("--flip_axes=x", "--flip_axes=q"))
    with pytest.raises(InputError, match="flip_axes"):
        own_settings([tmp_path / "run"], given)


def test_notices_are_those_of_all_runs_once(tmp_path: Path) -> None:
    first, second, third = (write_run(tmp_path / name) for name in ("a", "b", "c"))
    (first / NOTICE).write_text("\n")
    assert notices([first, second]) == ()
    for run, text in ((first, "not for measuring\n"), (second, "not for measuring\n"), (third, "kidneys only")):
        (run / NOTICE).write_text(text)
    assert notices([first, second, third]) == ("not for measuring", "kidneys only")
