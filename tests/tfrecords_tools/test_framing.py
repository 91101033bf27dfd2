import struct
import tracemalloc
from pathlib import Path

import google_crc32c
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfrecords_tools.errors import RecordError
from tfrecords_tools.framing import Frame, frame, framed_size
from tfrecords_tools.read import check_files, find_damage, list_frames, read_at, read_records
from tfrecords_tools.write import write_records

RECORDS = [b"first", b"", b"third record"]


def framed(records: list[bytes]) -> bytes:
    return b"".join(part for record in records for part in frame(record))


def numbers_of_damage(path: Path) -> list[int]:
    return [number for number, found in enumerate(find_damage(path)) if isinstance(found, RecordError)]


def error_of(path: Path) -> str:
    with pytest.raises(RecordError) as caught:
        list(read_records(path))
    return str(caught.value)


def test_a_frame_by_hand() -> None:
    # From TensorFlow's own documentation of the format: lengths and CRCs are little-endian.
    header, record, footer = frame(b"")
    assert (header[:8], record) == (bytes(8), b"")
    assert footer == struct.pack("<I", 0xA282EAD8)  # the CRC of nothing is 0, and masking adds this constant
    assert framed_size(0) == len(header + record + footer) == 16


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_the_bytes_are_those_of_tensorflow(tmp_path_factory, records: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("framing") / "tf.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    assert path.read_bytes() == framed(records)
    assert list(read_records(path)) == records
    write_records(path.with_name("ours.tfrecord"), records)
    assert [r.numpy() for r in tf.data.TFRecordDataset(str(path.with_name("ours.tfrecord")))] == records


def test_frames_say_where_records_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    write_records(path, RECORDS)
    places = list_frames(path)
    assert places == [Frame(0, 12, 5), Frame(1, 33, 0), Frame(2, 49, 12)]
    assert list(read_at((path, place) for place in reversed(places))) == RECORDS[::-1]


def test_every_flipped_bit_is_found_in_its_record(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tfrecord", framed(RECORDS)
    ends = [framed_size(5), framed_size(5) + framed_size(0), len(content)]
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        number = next(i for i, end in enumerate(ends) if position < end)
        in_header = position - ([0, *ends][number]) < 12
        reason = "length checksum is wrong" if in_header else "data checksum is wrong"
        assert error_of(path) == f"{path}: expected whole records, record {number} cannot be read: {reason}"
        assert numbers_of_damage(path) == [number]


def test_every_cut_is_found(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tfrecord", framed(RECORDS)
    ends = [0, framed_size(5), framed_size(5) + framed_size(0), len(content)]
    for length in range(len(content)):
        path.write_bytes(content[:length])
        if length in ends:
            assert list(read_records(path)) == RECORDS[: ends.index(length)]
            continue
        number = next(i for i, end in enumerate(ends[1:]) if length < end)
        reason = "the file ends in the middle of it"
        assert error_of(path) == f"{path}: expected whole records, record {number} cannot be read: {reason}"


def test_after_wrong_data_the_next_record_is_looked_at(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tfrecord", bytearray(framed(RECORDS))
    content[13] ^= 1
    content[-1] ^= 1
    path.write_bytes(content)
    assert numbers_of_damage(path) == [0, 2]
    assert list(find_damage(path))[1] == 0  # the empty record is whole, of 0 bytes
    with pytest.raises(RecordError, match="record 0 cannot be read"):
        check_files([path])


def test_a_nonsense_length_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    length = struct.pack("<Q", 1 << 62)
    # With a right checksum of its own, as a program that lies would write it.
    crc = google_crc32c.value(length)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    path.write_bytes(length + struct.pack("<I", masked) + b"short")
    tracemalloc.start()
    assert error_of(path).endswith("record 0 cannot be read: the file ends in the middle of it")
    path.write_bytes(length + bytes(9))
    assert error_of(path).endswith("record 0 cannot be read: length checksum is wrong")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_what_is_no_file_of_records_is_told(tmp_path: Path) -> None:
    assert error_of(tmp_path) == f"{tmp_path}: expected a file of records, found a folder or device"
    assert error_of(tmp_path / "gone") == f"{tmp_path}/gone: expected whole records, found no such file"
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\0" + bytes(20))
    assert error_of(tmp_path / "a.gz").endswith("length checksum is wrong; gunzip it first, it is compressed")
    (tmp_path / "empty").write_bytes(b"")
    assert list(read_records(tmp_path / "empty")) == []


def test_one_record_at_a_time_is_in_memory(tmp_path: Path) -> None:
    size = 4_000_000
    tracemalloc.start()
    write_records(tmp_path / "a.tfrecord", (bytes(size) for _ in range(3)))
    write_records(tmp_path / "b.tfrecord", read_records(tmp_path / "a.tfrecord"))
    check_files([tmp_path / "b.tfrecord"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "b.tfrecord").read_bytes() == (tmp_path / "a.tfrecord").read_bytes()
    assert size <= peak < 1.5 * size
