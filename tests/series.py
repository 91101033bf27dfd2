"""Series written by pydicom: HU are a plane over the patient's space, by the standard's own formula (C.7.6.2.1.1)."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

# Turned about the patient's long axis, and tipped.
ROW, COLUMN = np.array([0.8, 0.6, 0.0]), np.array([-0.6, 0.8, 0.0])
OBLIQUE = (ROW, np.array([-0.6 * 0.96, 0.8 * 0.96, 0.28]))
NORMAL = np.cross(ROW, COLUMN)
GRADIENT = np.array([4.0, -7.0, 3.0])  # HU a mm along left, posterior, superior
SPACING = (1.5, 2.0)  # rows, columns
SHAPE = (6, 9)
IDS = {name: generate_uid() for name in ("study", "series", "frame")}


def write_slice(path: Path, position: np.ndarray, axes: tuple = (ROW, COLUMN), **changes: object) -> pydicom.Dataset:
    """Writes one slice whose upper left pixel center lies at a position; changes are further attributes."""
    row, column = axes
    i, j = np.mgrid[: SHAPE[0], : SHAPE[1]]
    places = position + i[..., None] * SPACING[0] * column + j[..., None] * SPACING[1] * row
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = IDS.values()
    data.Modality, data.SeriesDescription, data.ImageType = "CT", "Abdomen 2.0", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.PatientID = data.PatientName = "someone"
    for name in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"):
        setattr(data, name, "")
    data.InstanceNumber = int(np.random.default_rng(path.name.encode()[0]).integers(1000))
    data.ImagePositionPatient, data.ImageOrientationPatient = list(position), [*row, *column]
    data.PixelSpacing, data.SliceThickness, (data.Rows, data.Columns) = list(SPACING), 2.0, SHAPE
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept = 0.5, -1024
    for name, value in changes.items():
        setattr(data, name, value)
    if "PixelData" not in changes:
        data.PixelData = np.rint((places @ GRADIENT + 1024) * 2).astype(np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)
    return data


def write_series(folder: Path, places: list[float], axes: tuple = (ROW, COLUMN), **changes: object) -> Path:
    """Writes slices at places along the normal, in files whose names say nothing about their order."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(*axes)
    for number, place in enumerate(places):
        name = f"{'qzmaxkbn'[number % 8]}{number}"
        write_slice(folder / name, np.array([-20.0, 30, -5]) + place * normal, axes, **changes)
    return folder


def write_series_of(folder: Path, scan: Path) -> Path:
    """Writes the slices of a NIfTI file whose axes are those of the patient, and returns the folder."""
    image = nib.as_closest_canonical(nib.load(scan))
    hu = np.asarray(image.dataobj)[::-1, ::-1]  # x to the left, y to the back
    spacing, size = image.header.get_zooms(), hu.shape
    first = image.affine @ [size[0] - 1, size[1] - 1, 0, 1]
    folder.mkdir(parents=True)
    for number in range(size[2]):
        write_slice(
            folder / f"{number:03d}.dcm",
            np.array([-first[0], -first[1], first[2] + number * spacing[2]]),
            (np.array([1.0, 0, 0]), np.array([0.0, 1, 0])),
            Rows=size[1],
            Columns=size[0],
            PixelSpacing=[float(spacing[1]), float(spacing[0])],
            SliceThickness=float(spacing[2]),
            PixelRepresentation=1,
            RescaleSlope=1,
            RescaleIntercept=0,
            PixelData=hu[:, :, number].T.astype(np.int16).tobytes(),
        )
    return folder
