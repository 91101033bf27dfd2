"""python -m kits_tf.export: a run -> a SavedModel for TensorFlow Serving."""

from kits_tf import commandline, config, runtime


def main(settings: config.Export) -> None:
    """Exports the network of a run, or of several averaged, in float32, with its preprocessing, as the next version."""
    runtime.start_tensorflow()
    from kits_tf.inference.segmenter import Segmenter
    from kits_tf.serving import saved_model
    from kits_tf.training.run import load_runs

    runs = load_runs(settings.run_dir)
    written = saved_model.export(Segmenter(runs, settings.inference), settings.export_dir)
    size_mb = sum(f.stat().st_size for f in written.rglob("*") if f.is_file()) / 1e6
    print("serving_default: hu int16 (i, j, k), affine float32 (4, 4) -> labels uint8 (i, j, k), volumes_ml float32")
    print("labels: " + ", ".join(f"{i} {name}" for i, name in enumerate(runs[0].manifest.scheme.classes)))
    print(f"wrote {written} ({size_mb:.1f} MB)")


if __name__ == "__main__":
    commandline.run(config.Export, main)
