"""python -m kits_tf.audit: what is wrong or odd about a data set."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kits_tf.base.command import Command
from kits_tf.base.errors import InputError
from kits_tf.base.files import require_own, write_text
from kits_tf.base.provenance import package_versions
from kits_tf.base.settings import Settings, setting
from kits_tf.base.words import count_text
from kits_tf.config import shared

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Audit(Settings):
    """Checks a data set for errors and oddities: a table, audit.json, and audit.html with pictures."""

    data_dir: str = shared.data_dir()
    output_dir: str = setting("audit", "Folder to write audit.json and audit.html to.")
    workers: int = shared.workers()


def main(settings: Audit) -> None:
    """Reads every case, prints facts and findings, and writes audit.json and audit.html.

    Raises:
        InputError: there is no data set, or some case has an error; everything is written all the same.
    """
    from kits_tf.ct.findings import audit, ordered
    from kits_tf.ct.layouts import find_cases
    from kits_tf.views.pages.audit_page import audit_page
    from kits_tf.views.pages.case_audit import examine_all
    from kits_tf.views.terminal.audit_table import facts_table, findings_table

    output = Path(settings.output_dir)
    json_path, page_path = output / "audit.json", output / "audit.html"
    require_own([json_path], b'"format_version"')
    require_own([page_path])
    # TensorFlow is started in the workers alone: only thumbnails need it.
    examined = examine_all(find_cases(settings.data_dir), settings.workers)
    facts = {case_id: case.facts for case_id, case in examined.items()}
    readable = {case_id: of_case for case_id, of_case in facts.items() if of_case}
    findings = ordered([*audit(readable), *(case.problem for case in examined.values() if case.problem)])
    thumbnails = {case_id: case.thumbnail for case_id, case in examined.items() if case.thumbnail}
    content = {
        "format_version": FORMAT_VERSION,
        "data_dir": str(Path(settings.data_dir).resolve()),
        "versions": package_versions(),
        "findings": [asdict(finding) for finding in findings],
        "cases": {case_id: asdict(of_case) for case_id, of_case in readable.items()},
    }
    output.mkdir(parents=True, exist_ok=True)
    write_text(json_path, json.dumps(content, indent=1) + "\n")
    write_text(page_path, audit_page(settings.data_dir, facts, findings, thumbnails))
    print(facts_table(readable, findings))
    print(findings_table(findings))
    print(f"wrote {output}/audit.json and audit.html")
    if num_errors := sum(finding.severity == "error" for finding in findings):
        first = f"{findings[0].case_id}: {findings[0].message}"
        raise InputError(f"{settings.data_dir}: {count_text(num_errors, 'error')}, the first: {first}")


COMMAND = Command(name="audit", settings=Audit, main=main)

if __name__ == "__main__":
    COMMAND.run()
