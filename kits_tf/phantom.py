"""python -m kits_tf.phantom: a small data set of simulated CT in KiTS19's layout."""

from pathlib import Path

from kits_tf import commandline, config, runtime


def main(settings: config.Phantom) -> None:
    """Writes the phantoms; the same flags give the same files."""
    from kits_tf.ct.phantom import write_phantom

    for number in runtime.progress(range(settings.num_cases), "phantom", settings.num_cases):
        case_dir = Path(settings.output_dir) / f"case_{number:05d}"
        write_phantom(case_dir, number, settings.phantom_spacing_zyx_mm, settings.seed)
    print(f"wrote {settings.output_dir}")


if __name__ == "__main__":
    commandline.run(config.Phantom, main)
