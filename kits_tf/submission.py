"""python -m kits_tf.submission: masks -> KiTS19's predictions.zip, and whether one is in order."""

from kits_tf import commandline, config, runtime
from kits_tf.errors import InputError


def main(settings: config.Submission) -> None:
    """Packs a folder of masks, or checks a zip file and says what is wrong with it.

    Raises:
        InputError: a mask cannot be used, or the zip file is not in order.
    """
    if settings.check:
        _check(settings.check, settings.data_dir or "")
        return
    from kits_tf.analysis.challenge import masks_to_pack, pack
    from kits_tf.ct.labels import find_scheme

    masks, output = masks_to_pack(settings.predictions_dir or ""), settings.output or ""
    pack(runtime.progress(masks, "mask", len(masks)), output, find_scheme(settings.label_scheme))
    print(f"wrote {output}; --check={output} --data_dir=DATA checks it")


def _check(submission: str, data_dir: str) -> None:
    from kits_tf.analysis.challenge import due, open_submission, problems, unexpected
    from kits_tf.ct.layouts import find_cases

    cases = due(find_cases(data_dir))
    with open_submission(submission) as archive:
        found = unexpected(archive, cases)
        for case in runtime.progress(cases, "case", len(cases)):
            found += problems(archive, case)
    if found:
        print("\n".join(found))
        raise InputError(f"{submission}: {len(found)} problems, the first: {found[0]}")
    print(f"{submission}: {len(cases)} predictions, in order")


if __name__ == "__main__":
    commandline.run(config.Submission, main)
