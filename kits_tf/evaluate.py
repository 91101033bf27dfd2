"""python -m kits_tf.evaluate: scores on the original grid, of a run or of masks from any program."""

from dataclasses import replace

from kits_tf import commandline, config, runtime


def main(settings: config.Evaluate) -> None:
    """Scores every case, writes cases.csv, lesions.csv and summary.json, and prints them; or compares two such.

    With --postprocess=auto, what helps the run is chosen first.

    Raises:
        InputError: run, predictions or data cannot be used, or there is nothing to score.
    """
    runtime.start_tensorflow()
    from kits_tf.analysis import evaluation, results
    from kits_tf.analysis.chain_choice import choose_chain
    from kits_tf.views.scores_table import chains_table, differences_table, scores_table

    if settings.compare:
        print(differences_table(results.compare(*settings.compare.split(","))))
        return
    if settings.inference.postprocess == "auto":
        chosen, tried = choose_chain(settings)
        print(chains_table(chosen, tried))
        settings = replace(settings, inference=replace(settings.inference, postprocess=""))
    plan = evaluation.of_run(settings) if settings.run_dir else evaluation.of_predictions(settings)
    scores = list(runtime.progress(plan.scores(), "case", plan.num_cases))
    summary = results.write(scores, plan.output_dir, plan.inference)
    print(scores_table(scores, summary))
    print(f"wrote {plan.output_dir}")


if __name__ == "__main__":
    commandline.run(config.Evaluate, main)
