"""python -m kits_tf.evaluate: Dice on the original grid, of a run or of masks from any program."""

from kits_tf import commandline, config, runtime


def main(settings: config.Evaluate) -> None:
    """Scores every case, writes cases.csv and summary.json, and prints both as a table.

    Raises:
        InputError: run, predictions or data cannot be used, or there is nothing to score.
    """
    runtime.start_tensorflow()
    from kits_tf.analysis import evaluation
    from kits_tf.views.table import scores_table

    plan = evaluation.of_run(settings) if settings.run_dir else evaluation.of_predictions(settings)
    scores = [plan.score(files) for files in runtime.progress(plan.cases, "case", len(plan.cases))]
    summary = evaluation.write(scores, plan.output_dir)
    print(scores_table(scores, summary))
    print(f"wrote {plan.output_dir}")


if __name__ == "__main__":
    commandline.run(config.Evaluate, main)
