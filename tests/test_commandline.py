import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kits_tf import commandline, config
from kits_tf.commandline import UsageError
from kits_tf.errors import InputError
from kits_tf.settings import flag_fields, without_none

ROOT = Path(__file__).parent.parent
CONVERT = ["convert", "--data_dir=d", "--records_dir=r"]


def test_defaults_and_groups() -> None:
    settings, positional = commandline.parse(config.Convert, CONVERT)
    assert settings == config.Convert(data_dir="d", records_dir="r")
    assert settings.grid.spacing_zyx_mm == (1.6, 1.2, 1.2) and positional == []


def test_values_reach_their_group_with_their_type() -> None:
    given = ["--spacing_zyx_mm=3,1.5,2", "--image_kernel=linear", "--seed=7", "--test_cases=1-3"]
    settings, _ = commandline.parse(config.Convert, CONVERT + given)
    assert settings.grid.spacing_zyx_mm == (3.0, 1.5, 2.0)
    assert (settings.grid.image_kernel, settings.seed, settings.splits.test_cases) == ("linear", 7, "1-3")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--epocs=3", "Unknown command line flag 'epocs'. Did you mean: epochs"),
        ("--epochs=3", "--epochs is no flag of convert"),
        ("--nocalibrate", "--nocalibrate is no flag of convert"),
        ("--seed=x", "expected a whole number, got 'x'"),
        ("--seed=-1", "--seed: expected 0 or more, got -1"),
        ("--spacing_zyx_mm=1,2", "expected 3 numbers with commas between, got '1,2'"),
        ("--spacing_zyx_mm=1,2,0", "--spacing_zyx_mm: expected more than 0, got 0.0"),
        ("--spacing_zyx_mm=1,2,nan", "expected a number, got 'nan'"),
        (
            "--image_kernel=sinc",
            "--image_kernel: expected one of nearest, linear, cubic, linear_fit, cubic_fit, got sinc",
        ),
        ("--validation_fraction=1", "--validation_fraction: expected less than 1, got 1.0"),
        ("case_00000", "expected flags only, got 'case_00000'"),
        ("--flagfile=gone.flags", "gone.flags"),
    ],
)
def test_mistakes_are_explained(argument: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        commandline.parse(config.Convert, [*CONVERT, argument])
    assert message in str(caught.value)


def test_a_flag_of_yes_or_no_needs_no_value() -> None:
    given = ["figures", "--data_dir=d", "--output_dir=o"]
    assert commandline.parse(config.Figures, [*given, "--augmentations"])[0].augmentations is True
    without, _ = commandline.parse(config.Figures, [*given, "--noaugmentations", "--predictions_dir=p"])
    assert without.augmentations is False
    assert "  --augmentations\n" in commandline.help_text(config.Figures)


def test_required_flags_and_inputs() -> None:
    with pytest.raises(UsageError, match="--records_dir is required: Folder of TFRecord shards"):
        commandline.parse(config.Convert, CONVERT[:2])
    with pytest.raises(UsageError, match="expected at least one SCAN after the flags"):
        commandline.parse(config.Predict, ["predict", "--model=m", "--output_dir=o"], "SCAN")
    _, inputs = commandline.parse(config.Predict, ["predict", "a.nii", "--model=m", "--output_dir=o", "b.nii"], "SCAN")
    assert inputs == ["a.nii", "b.nii"]


def test_limits_between_fields() -> None:
    for wrong in ("--window_hu=5,5", "--scale_range=2,1", "--gamma_range=1.5,0.7", "--elastic_mm=17"):
        with pytest.raises(UsageError, match=wrong.split("=")[0]):
            commandline.parse(config.Train, ["train", "--records_dir=r", "--run_dir=r", wrong])
    with pytest.raises(InputError, match="expected one of --run_dir, --predictions_dir and --compare"):
        config.Evaluate()
    with pytest.raises(InputError, match="expected either --data_dir or --truth_dir with --predictions_dir"):
        config.Evaluate(predictions_dir="p")


def test_a_flag_means_the_same_in_every_command() -> None:
    kinds: dict[str, object] = {}
    for command in config.COMMANDS:
        for _, item, kind in flag_fields(command):
            assert kinds.setdefault(item.name, without_none(kind)) == without_none(kind), item.name
            assert item.metadata["help"], item.name


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs").glob("*.flags")))
@pytest.mark.parametrize("command", config.COMMANDS)
def test_every_command_takes_the_shipped_flag_files(command: type[config.Settings], name: str) -> None:
    paths = {
        item.name: "x" for _, item, _ in flag_fields(command) if item.name.endswith("_dir") or item.name == "model"
    }
    if command in (config.Evaluate, config.Report):
        del paths["predictions_dir"]
        paths.pop("truth_dir", None)
    if command is config.Submission:
        paths |= {"output": "x"}
    if command is config.Client:
        paths |= {"server": "localhost:8500"}
    arguments = [f"--{flag}={value}" for flag, value in paths.items()]
    inputs = "SCAN" if command in (config.Predict, config.Client, config.Measure) else ""
    parsed, _ = commandline.parse(
        command, ["", f"--flagfile={ROOT}/configs/{name}.flags", *arguments, *([inputs] if inputs else [])], inputs
    )
    if command in (config.Evaluate, config.Report):  # these default to whatever run and records have
        parsed = replace(parsed, label_scheme=None, cyst_as=None)
    if command is config.Train:
        parsed = replace(parsed, records=config.RecordsSettings())
    if name == "base":  # the defaults are the recipe of record
        assert parsed == commandline.parse(command, ["", *arguments, *([inputs] if inputs else [])], inputs)[0]


def test_the_recipe_of_record() -> None:
    settings, _ = commandline.parse(
        config.Train, ["", f"--flagfile={ROOT}/configs/base.flags", "--records_dir=r", "--run_dir=r"]
    )
    optimization = settings.optimization
    assert (optimization.epochs, optimization.learning_rate, optimization.batch_size) == (50, 1e-3, 2)
    assert (settings.objective.loss, settings.objective.class_weighting) == ("cross_entropy", "inverse")
    assert settings.patches.patch_size_zyx == (128, 128, 128)
    assert (settings.intensity.window_hu, settings.intensity.mean_hu, settings.intensity.std_hu) == (
        (-79, 304),
        101,
        76.9,
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "configs").glob("*.flags")))
def test_flag_files_say_why(name: str) -> None:
    lines = [line for line in (ROOT / f"configs/{name}.flags").read_text().splitlines() if line]
    assert lines[0].startswith("#") and any(line.startswith("#   python -m kits_tf.") for line in lines)
    flags = [i for i, line in enumerate(lines) if line.startswith("--")]
    assert name == "smoke" or all(lines[i - 1].startswith("#") for i in flags)  # each line with a comment


def test_help_shows_what_a_value_looks_like() -> None:
    text = commandline.help_text(config.Train)
    for line in ("--spacing_zyx_mm=X,X,X", "--filters=N,...", "--epochs=N", "--dropout=X", "--run_dir=TEXT"):
        assert f"  {line}\n" in text
    assert "--overlap_over=batch|example" in text


@pytest.mark.parametrize("command", config.COMMANDS)
def test_help_shows_the_commands_own_flags_only(command: type[config.Settings], capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        commandline.parse(command, ["", "--help"])
    text = capsys.readouterr().out
    own = {item.name for _, item, _ in flag_fields(command)}
    shown = {line.strip().removeprefix("--").split("=")[0] for line in text.splitlines() if line.startswith("  --")}
    assert caught.value.code == 0 and shown == own | {"flagfile"}
    assert max(len(line) for line in text.splitlines()) <= 120


def test_flag_files_round_trip(tmp_path: Path) -> None:
    settings = config.Train(
        records_dir="a b",
        run_dir="r",
        warp=config.WarpSettings(scale_range=(0.5, 1.25)),
        network=config.NetworkSettings(filters=(3, 4, 5), residual=True, attention=False),
        optimization=config.OptimizationSettings(learning_rate=0.1 + 0.2),
    )
    (tmp_path / "train.flags").write_text(commandline.to_flagfile(settings, "train"))
    assert commandline.from_flagfile(config.Train, tmp_path / "train.flags") == settings
    with pytest.raises(InputError, match=r"gone.flags: expected the flags of a run"):
        commandline.from_flagfile(config.Train, tmp_path / "gone.flags")
    (tmp_path / "train.flags").write_text("--epochs=0\n--records_dir=r\n--run_dir=r\n")
    with pytest.raises(InputError, match=r"train.flags: --epochs: expected 1 or more, got 0"):
        commandline.from_flagfile(config.Train, tmp_path / "train.flags")


def test_select_takes_over_what_the_other_command_shares() -> None:
    demo = config.Demo(seed=4, grid=config.GridSettings(image_kernel="linear"))
    convert = commandline.select(config.Convert, demo, data_dir="d", records_dir="r")
    assert (convert.seed, convert.grid, convert.data_dir) == (4, demo.grid, "d")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InputError("a.nii:\n bad"), 1, "error: a.nii: bad\n"),
        (OSError(28, "No space left on device", "x"), 1, "error: x: No space left on device\n"),
        (UsageError("what?"), 2, "error: what? (--help lists the flags)\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)
def test_errors_become_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys, error: BaseException, status: int, text: str
) -> None:
    def main(_: config.Convert) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", CONVERT)
    with pytest.raises(SystemExit) as caught:
        commandline.run(config.Convert, main)
    assert caught.value.code == status
    assert capsys.readouterr().err == text


@pytest.mark.parametrize("command", [kind.__name__.lower() for kind in config.COMMANDS])
def test_help_needs_nothing_slow_and_no_warning_shows(command: str) -> None:
    code = f"""
import runpy, sys
sys.argv = ["{command}", "--help"]
try:
    runpy.run_module("kits_tf.{command}", run_name="__main__")
finally:
    assert not {{"tensorflow", "keras", "numpy", "scipy", "nibabel"}} & set(sys.modules), "imports what takes long"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: python -m kits_tf.{command} ")
