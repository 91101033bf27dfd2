"""Metadata, dependencies and extras of kits_tf; build backend and tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "kits_tf/base/version.py").read_text())[1]

EXTRAS = {
    # convert --runner=beam.
    "beam": ["apache-beam>=2.77"],
    # DICOM in and DICOM SEG out; GDCM decodes JPEG, JPEG-LS and JPEG 2000.
    "dicom": ["highdicom>=0.25", "pydicom>=3.0", "python-gdcm>=3.0.24"],
    "figures": ["matplotlib>=3.8", "pillow>=10"],
    # A model on a server, over gRPC.
    "client": ["grpcio>=1.60"],
}
# Figures, and NiiVue out of ipyniivue's package.
EXTRAS["report"] = [*EXTRAS["figures"], "ipyniivue>=2.4,<3"]
# Lists of scans, and tables of what predict has done, as Parquet.
EXTRAS["parquet"] = ["pyarrow>=15"]
# The site: make site.
EXTRAS["docs"] = ["mkdocs>=1.6,<2"]
# The development server.
EXTRAS["serve"] = ["grpcio>=1.60", "prometheus-client>=0.20", "starlette>=0.40", "uvicorn>=0.30"]
# The page: NIfTI and DICOM in, NiiVue, PDF out.
EXTRAS["app"] = [*EXTRAS["client"], *EXTRAS["dicom"], *EXTRAS["report"], "starlette>=0.40", "uvicorn>=0.30"]
_TOOLS = [
    "axe-playwright-python>=0.1.4",
    "hypothesis>=6.100",
    "ipykernel>=6.29",
    "mypy>=1.11",
    "nbclient>=0.10",
    "pandas>=2.2",
    "playwright>=1.45",
    "pypdf>=5",
    "pytest>=8.2",
    "pytest-xdist>=3.6",
    "ruff>=0.6",
    "scikit-image>=0.24",
]
# For tests of serving: TensorFlow Serving's own messages, a client of others, HTTP, certificates, a reader of YAML.
_PEERS = [
    "cryptography>=42",
    "ovmsclient>=2023.1",
    "tensorflow-serving-api>=2.21",
    "pyyaml>=6.0",
    "requests>=2.31",
    "types-pyyaml",
    "types-requests",
]
EXTRAS["dev"] = [*(package for name in ("app", "beam", "docs", "parquet", "serve") for package in EXTRAS[name])]
EXTRAS["dev"] += [*_TOOLS, *_PEERS]
# Peers are measured in an environment of their own: see BUILD.md.
EXTRAS["bench"] = EXTRAS["figures"]

setup(
    name="kits_tf",
    version=VERSION,
    description="Kidneys and kidney tumors in CT, from NIfTI to a served mask, in TensorFlow",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0 AND CC-BY-4.0",  # the code, and the weights in kits_tf/starter
    license_files=["LICENSE", "kits_tf/starter/LICENSE"],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["kits_tf*", "tfrecords_tools*"]),
    package_data={
        "kits_tf": ["py.typed", "starter/*", "starter/coarse/*", "views/pages/templates/*", "webapp/pages/*"],
        "tfrecords_tools": ["py.typed"],
    },
    install_requires=[
        "absl-py>=2.1",
        "cattrs>=24.1",
        "connected-components-3d>=3.18",
        "edt>=3.0",
        "fill-voids>=2.0",
        "google-crc32c>=1.5",
        "h5py>=3.11",
        "isal>=1.7",
        "jinja2>=3.1",
        # Keras 3.13 and later need Python 3.11.
        "keras>=3.12,<3.13; python_version < '3.11'",
        "keras>=3.15; python_version >= '3.11'",
        "nibabel>=5.2",
        "numpy>=1.26",
        "pebble>=5.1",
        "rich>=13.7",
        "scipy>=1.11",
        "surface-distance>=0.1",
        # TensorFlow 2.21 no longer brings it, and writes no curves without it.
        "tensorboard>=2.20",
        "tensorflow>=2.21",
    ],
    entry_points={"console_scripts": ["kits-tf = kits_tf.__main__:main"]},
    extras_require=EXTRAS,
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
