"""python -m kits_tf.train: records -> a trained network in a run directory."""

from kits_tf import commandline, config, runtime


def main(settings: config.Train) -> None:
    """Trains, or goes on with a run that was interrupted.

    Raises:
        InputError: records or run directory do not fit the settings, or the loss became infinite.
    """
    runtime.keep_freed_memory()
    runtime.start_tensorflow()
    from kits_tf.network import fit, run
    from kits_tf.network.architecture import architecture
    from kits_tf.pipeline.manifest import Manifest

    made_of = architecture(settings.network)
    made_of.check_training(settings.patches.patch_size_zyx, settings.optimization.rematerialize)
    manifest = Manifest.read(settings.records_dir)
    manifest.check_settings(settings.records, settings.records_dir)
    manifest.check_shards(settings.records_dir)
    if settings.fold is not None:
        manifest = manifest.of_fold(settings.fold)
    run_dir = run.open_run_dir(settings, manifest)
    strategy = runtime.choose_strategy()
    print(runtime.describe_strategy(strategy, settings.optimization.batch_size))
    history = fit.fit(settings, manifest, run_dir, strategy)
    best = max(history, key=lambda epoch: epoch["val_composite"])
    print(
        f"best epoch {best['epoch'] + 1:.0f}: kidney {best['val_kidney_dice']:.3f}, tumor {best['val_tumor_dice']:.3f}"
    )
    print(f"wrote {run_dir} (Dice above is over validation patches; evaluate scores whole cases)")


if __name__ == "__main__":
    commandline.run(config.Train, main)
