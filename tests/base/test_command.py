import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import kits_tf
from kits_tf import config, convert, demo, evaluate, figures, measure, predict, train
from kits_tf.__main__ import GROUPS
from kits_tf.base.command import Command, UsageError, all_commands
from kits_tf.base.errors import InputError
from kits_tf.base.flagfile import RETIRED, from_flagfile, parse_flags, to_flagfile
from kits_tf.base.settings import Settings, flag_fields, select, setting, without_none

ROOT = Path(__file__).parent.parent.parent
FLAG_FILES = sorted((ROOT / "configs").glob("*.flags"))
CONVERT = ["--data_dir=d", "--records_dir=r"]


def test_defaults_and_groups() -> None:
    settings, positional = convert.COMMAND.parse(CONVERT)
    assert settings == convert.Convert(data_dir="d", records_dir="r")
    assert settings.grid.spacing_zyx_mm == (1.6, 1.2, 1.2) and positional == []


def test_a_current_folder_that_is_gone_and_other_variables_are_said_or_passed_over(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os\nos.rmdir({str(gone)!r})\nfrom kits_tf import measure\nmeasure.COMMAND.run(['m.nii.gz'])"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 1
    assert result.stderr == "error: expected a current folder, found that it was removed: cd to another one\n"


def test_help_without_docstrings_has_the_flags_and_no_signatures() -> None:
    command = [sys.executable, "-OO", "-m", "kits_tf.figures", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--predictions_dir=TEXT" in result.stdout and "<factory>" not in result.stdout


@pytest.mark.parametrize("backend", ["TkAgg", "nonsense"])
def test_no_backend_of_matplotlib_stops_a_command(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", backend)
    with pytest.raises(SystemExit):
        figures.COMMAND.run(["--data_dir=d"])
    assert os.environ["MPLBACKEND"] == "agg"


def test_values_reach_their_group_with_their_type() -> None:
    given = ["--spacing_zyx_mm=3,1.5,2", "--image_kernel=linear", "--seed=7", "--test_cases=1-3"]
    settings, _ = convert.COMMAND.parse(CONVERT + given)
    assert settings.grid.spacing_zyx_mm == (3.0, 1.5, 2.0)
    assert (settings.grid.image_kernel, settings.seed, settings.splits.test_cases) == ("linear", 7, "1-3")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--sed=3", "--sed: there is no such flag; did you mean --seed?"),
        ("-s=3", "-s: there is no such flag; did you mean --seed or --spacing_zyx_mm or --splits_file?"),
        ("--epocs=3", "--epocs: there is no such flag"),
        ("--epochs=3", "--epochs is not a flag of convert"),
        ("--nocalibrate", "--nocalibrate is not a flag of convert"),
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
        ("--flagfile=gone.flags", "--flagfile=gone.flags: expected a file of flags, found no such file"),
        (
            "--flagfile=config/body.flags",
            "config/body.flags: expected a file of flags, found no such file; did you mean ",
        ),
    ],
)
def test_mistakes_are_explained(argument: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        convert.COMMAND.parse([*CONVERT, argument])
    assert message in str(caught.value)


def test_a_flag_of_yes_or_no_needs_no_value() -> None:
    given = ["--data_dir=d", "--output_dir=o"]
    assert figures.COMMAND.parse([*given, "--augmentations"])[0].augmentations is True
    without, _ = figures.COMMAND.parse([*given, "--noaugmentations", "--predictions_dir=p"])
    assert without.augmentations is False
    assert "  --augmentations\n" in figures.COMMAND.help_text()


def test_required_flags_and_inputs() -> None:
    with pytest.raises(UsageError, match="--records_dir is required: Folder of TFRecord shards"):
        convert.COMMAND.parse(CONVERT[:1])
    with pytest.raises(UsageError, match="expected at least one MASK after the flags"):
        measure.COMMAND.parse(["--output_dir=o"])
    _, inputs = predict.COMMAND.parse(["a.nii", "--model=m", "--output_dir=o", "b.nii"])
    assert inputs == ["a.nii", "b.nii"]


def test_limits_between_fields() -> None:
    for wrong in ("--window_hu=5,5", "--scale_range=2,1", "--gamma_range=1.5,0.7", "--elastic_mm=17"):
        with pytest.raises(UsageError, match=wrong.split("=")[0]):
            train.COMMAND.parse(["--records_dir=r", "--run_dir=r", wrong])
    with pytest.raises(InputError, match="expected one of --run_dir, --predictions_dir and --compare"):
        evaluate.Evaluate()
    with pytest.raises(InputError, match="expected either --data_dir or --truth_dir with --predictions_dir"):
        evaluate.Evaluate(predictions_dir="p")


def test_a_flag_means_the_same_in_every_command() -> None:
    kinds: dict[str, object] = {}
    for command in all_commands().values():
        for _, item, kind in flag_fields(command.settings):
            assert kinds.setdefault(item.name, without_none(kind)) == without_none(kind), item.name
            assert item.metadata["help"], item.name


def arguments_of(command: Command) -> list[str]:
    """Returns the paths that a command needs, and an input if it takes any."""
    paths = {item.name: "x" for _, item, _ in flag_fields(command.settings) if item.name.endswith("_dir")}
    paths |= {"label_maps": "x"} if command.name == "simulate" else {}
    if command.name in ("evaluate", "report"):
        del paths["predictions_dir"]
        paths.pop("truth_dir", None)
    paths |= {"output": "x"} if command.name == "submission" else {}
    paths |= {"server": "localhost:8500"} if command.name == "client" else {}
    return [f"--{flag}={value}" for flag, value in paths.items()] + ([command.inputs] if command.inputs else [])


def test_every_command_takes_the_shipped_flag_files() -> None:
    for path in FLAG_FILES:
        for command in all_commands().values():
            parsed, _ = command.parse([f"--flagfile={path}", *arguments_of(command)])
            if command.name in ("evaluate", "report", "figures", "measure", "submission"):  # of masks, not of training
                parsed = replace(parsed, masks=config.MaskSchemeSettings())
            if command.name == "train":
                parsed = replace(parsed, records=config.RecordsSettings())
            if path.stem == "base":  # the defaults are the recipe of record
                assert parsed == command.parse(arguments_of(command))[0], command.name


def test_the_recipe_of_record() -> None:
    settings, _ = train.COMMAND.parse([f"--flagfile={ROOT}/configs/base.flags", "--records_dir=r", "--run_dir=r"])
    optimization = settings.optimization
    assert (optimization.epochs, optimization.learning_rate, optimization.batch_size) == (50, 1e-3, 2)
    assert (settings.objective.loss, settings.objective.class_weighting) == ("cross_entropy", "inverse")
    assert settings.patches.patch_size_zyx == (128, 128, 128)
    assert (settings.intensity.window_hu, settings.intensity.mean_hu, settings.intensity.std_hu) == (
        (-79, 304),
        101,
        76.9,
    )


def test_flag_files_begin_with_what_they_are_for_and_a_command() -> None:
    for path in FLAG_FILES:
        head, _, _ = path.read_text().partition("\n--")
        assert head.startswith("#") and "\n#   python -m kits_tf." in head, path


def test_flag_files_have_only_what_differs_from_the_defaults() -> None:
    kinds = (train.COMMAND.settings, convert.COMMAND.settings)  # of flags of both, convert has the defaults
    defaults = {item.name: item.default for kind in kinds for _, item, _ in flag_fields(kind)}
    for path in FLAG_FILES:
        given = [line for line in path.read_text().splitlines() if line.startswith("--")]
        values: dict[str, object] = {}
        for kind in kinds:
            values |= parse_flags(kind, [f"--flagfile={path}"])[0]
        assert len(given) == len(values), path
        same = {name for name, value in values.items() if value == defaults[name]}
        assert same == (set(values) if path.stem == "base" else set()), path


def test_help_shows_what_a_value_looks_like() -> None:
    text = train.COMMAND.help_text()
    for line in ("--spacing_zyx_mm=X,X,X", "--filters=N,...", "--epochs=N", "--dropout=X", "--run_dir=TEXT"):
        assert f"  {line}\n" in text
    assert "--overlap_over=batch|example" in text


def test_help_shows_the_commands_own_flags_only(capsys) -> None:
    for command in all_commands().values():
        with pytest.raises(SystemExit) as caught:
            command.parse(["--help"])
        text = capsys.readouterr().out
        own = {item.name for _, item, _ in flag_fields(command.settings)}
        shown = {line.strip().removeprefix("--").split("=")[0] for line in text.splitlines() if line.startswith("  --")}
        assert caught.value.code == 0 and shown == own | {"flagfile", "plugins"}, command.name
        assert max(len(line) for line in text.splitlines()) <= 120, command.name


def test_flag_files_round_trip(tmp_path: Path) -> None:
    settings = config.RunSettings(
        records_dir="a b",
        run_dir="r",
        warp=config.WarpSettings(scale_range=(0.5, 1.25)),
        network=config.NetworkSettings(filters=(3, 4, 5), residual=True, attention=False),
        optimization=config.OptimizationSettings(learning_rate=0.1 + 0.2),
    )
    (tmp_path / "train.flags").write_text(to_flagfile(settings, "train"))
    assert from_flagfile(config.RunSettings, tmp_path / "train.flags") == settings
    with pytest.raises(InputError, match=r"gone.flags: expected the flags of a run"):
        from_flagfile(config.RunSettings, tmp_path / "gone.flags")
    (tmp_path / "train.flags").write_text("--epochs=0\n--records_dir=r\n--run_dir=r\n")
    with pytest.raises(InputError, match=r"train.flags: --epochs: expected 1 or more, got 0"):
        from_flagfile(config.RunSettings, tmp_path / "train.flags")


def test_select_takes_over_what_the_other_command_shares() -> None:
    settings = demo.Demo(seed=4, grid=config.GridSettings(image_kernel="linear"))
    chosen = select(config.ConversionSettings, settings, data_dir="d", records_dir="r")
    assert (chosen.seed, chosen.grid, chosen.data_dir) == (4, settings.grid, "d")


def test_a_flag_of_another_command_may_stand_in_a_flag_file_in_either_form(tmp_path: Path) -> None:
    (tmp_path / "all.flags").write_text(
        "--epochs=3\n--learning_rate\n1e-2\n--augmentations\n--nocalibrate\n--seed\n7\n"
    )
    settings, _ = convert.COMMAND.parse([f"--flagfile={tmp_path}/all.flags", *CONVERT])
    assert settings == convert.Convert(data_dir="d", records_dir="r", seed=7)
    (tmp_path / "wrong.flags").write_text("--epocs=3\n")
    expected = r"^--epocs: there is no such flag; did you mean --epochs\?; --epocs is from \S+/wrong.flags$"
    with pytest.raises(UsageError, match=expected):
        convert.COMMAND.parse([f"--flagfile={tmp_path}/wrong.flags", *CONVERT])


@dataclass(frozen=True, kw_only=True)
class Halves(Settings):
    """Two numbers of which the first is the smaller one."""

    low: int = setting(3, "The smaller number.")
    high: int = setting(9, "The larger number.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise InputError(f"--low: expected less than --high={self.high}, got {self.low}")


def test_a_value_that_nobody_typed_is_said_to_be_a_files_or_the_default(tmp_path: Path) -> None:
    (tmp_path / "outer.flags").write_text(f"--flagfile={tmp_path}/inner.flags\n")
    (tmp_path / "inner.flags").write_text("--low=5\n")
    (tmp_path / "wrong.flags").write_text("--low=x\n")
    command, text = Command(name="halves", settings=Halves, main=print), "--low: expected less than --high=2, got {}"
    for arguments, message in (
        (
            [f"--flagfile={tmp_path}/inner.flags", "--high=2"],
            f"{text.format(5)}; --low is from {tmp_path}/inner.flags",
        ),
        (
            ["--flagfile", f"{tmp_path}/outer.flags", "--high=2"],
            f"{text.format(5)}; --low is from {tmp_path}/outer.flags",
        ),
        ([f"--flagfile={tmp_path}/inner.flags", "--low=4", "--high=2"], text.format(4)),
        (["--high=2"], f"{text.format(3)}; --low=3 is the default"),
        (
            [f"--flagfile={tmp_path}/wrong.flags"],
            f"flag --low=x: expected a whole number, got 'x'; --low is from {tmp_path}/wrong.flags",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            command.parse(arguments)
        assert str(caught.value) == message


def test_arguments_behind_two_dashes_are_inputs() -> None:
    _, inputs = predict.COMMAND.parse(["--model=m", "--output_dir=o", "a.nii", "--", "--b.nii", "-c"])
    assert inputs == ["a.nii", "--b.nii", "-c"]


def test_plugins_are_imported_before_values_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_plugin.py").write_text("IMPORTED = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KITS_TF_PLUGINS", "")
    convert.COMMAND.parse([*CONVERT, "--plugins=my_plugin"])
    assert sys.modules["my_plugin"].IMPORTED and os.environ["KITS_TF_PLUGINS"] == "my_plugin"


def test_what_is_wrong_with_a_plugin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = {"raises": "1 / 0\n", "no_python": "x =\n", "ends": "import sys\nsys.exit(3)\n", "wants": "import gone\n"}
    for name, code in plugins.items():
        (tmp_path / f"{name}_of_test.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("KITS_TF_PLUGINS", "")
    for name, message in (
        ("raises_of_test", "ZeroDivisionError: division by zero .*raises_of_test.py:1"),
        ("no_python_of_test", "invalid syntax .no_python_of_test.py, line 1"),
        ("ends_of_test", "SystemExit: 3 .*ends_of_test.py:2"),
        ("wants_of_test", "No module named 'gone'"),
        ("gone", "it is neither in this folder nor on PYTHONPATH"),
    ):
        with pytest.raises(
            UsageError, match=f"--plugins: expected a module that can be imported, got {name}: {message}"
        ):
            convert.COMMAND.parse([*CONVERT, f"--plugins={name}"])
    for name in ("wants_of_test.py", "./wants_of_test", ""):
        with pytest.raises(
            UsageError, match="--plugins: expected names of modules, as in my_loss for my_loss.py, got '"
        ):
            convert.COMMAND.parse([*CONVERT, f"--plugins={name}"])


def test_a_plugin_starts_tensorflow_as_a_command_does(tmp_path: Path) -> None:
    (tmp_path / "my_plugin.py").write_text("import tensorflow\n")
    code = "from kits_tf.base.registry import import_plugins; import_plugins(('my_plugin',)); import os; "
    code += "print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    hidden = ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "KITS_TF_VERBOSE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (InputError("a.nii:\n bad"), 1, "error: a.nii: bad\n"),
        (OSError(28, "No space left on device", "x"), 1, "error: x: No space left on device\n"),
        (
            RuntimeError("{{function_node __wrapped__SaveV2_}} a/part-0; No space left on device [Op:SaveV2]"),
            1,
            "error: nothing more can be written: No space left on device: a/part-0; No space left on device "
            "[Op:SaveV2]\n",
        ),
        (UsageError("what?"), 2, "error: what? (--help lists the flags)\n"),
        (KeyboardInterrupt(), 130, "stopped: the same command continues\n"),
    ],
)
def test_errors_become_one_line_and_a_status(capsys, error: BaseException, status: int, text: str) -> None:
    def main(_: convert.Convert) -> None:
        raise error

    with pytest.raises(SystemExit) as caught:
        replace(convert.COMMAND, main=main).run(CONVERT)
    assert caught.value.code == status
    assert capsys.readouterr().err == text


def test_help_needs_nothing_slow_and_no_warning_shows() -> None:
    for command in all_commands():
        code = f"""
import runpy, sys
sys.argv = ["{command}", "--help"]
try:
    runpy.run_module("kits_tf.{command}", run_name="__main__")
finally:
    slow = {{"tensorflow", "keras", "numpy", "scipy", "nibabel", "rich"}}
    assert not slow & set(sys.modules), "imports what takes long"
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and done.stderr == "", command
        assert done.stdout.startswith(f"usage: python -m kits_tf.{command} ")


def test_the_program_lists_its_commands_and_runs_one() -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "kits_tf", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    listed = program()
    assert listed.returncode == 0
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(all_commands())
    assert re.findall(r"^  (\w+)", listed.stdout, re.MULTILINE) == [name for names in GROUPS.values() for name in names]
    assert "  convert     Converts CT volumes and their masks into TFRecords on the training grid.\n" in listed.stdout
    assert program("convert", "--help").stdout == convert.COMMAND.help_text() + "\n"
    assert program("phantom", "--help").stdout.startswith("usage: python -m kits_tf.phantom ")
    assert program("--version").stdout == f"kits_tf {kits_tf.__version__}\n"
    wrong = program("conver")
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: expected one of app, audit, ")


def test_flags_of_older_runs_that_are_gone_are_passed_over(tmp_path: Path) -> None:
    arguments = ["--records_dir=r", "--run_dir=r"]
    before = [f"--{name}={value}" for name, value in RETIRED.items()]
    (tmp_path / "old.flags").write_text("\n".join(before))
    assert train.COMMAND.parse([*arguments, f"--flagfile={tmp_path}/old.flags"]) == train.COMMAND.parse(arguments)
    (tmp_path / "old.flags").write_text("--upsampling=nearest\n")
    with pytest.raises(UsageError, match="--upsampling: expected transposed, as other values are gone, got nearest"):
        train.COMMAND.parse([*arguments, f"--flagfile={tmp_path}/old.flags"])


def test_a_reader_that_has_gone_is_no_error_of_the_list_of_commands() -> None:
    command = f"{sys.executable} -m kits_tf | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.returncode in (0, 141)
