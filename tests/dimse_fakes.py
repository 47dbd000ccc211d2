"""Units of the DICOM network made by hand, for clients that do not keep to the rules."""

import struct

import pydicom
from pynetdicom.sop_class import MRImageStorage


def request(called=b"SPONDYL", pdu=16384):
    """An association request for MR by hand (PS3.8 table 9-11)."""
    item = lambda kind, content: struct.pack(">BBH", kind, 0, len(content)) + content  # noqa: E731
    syntax = item(0x30, MRImageStorage.encode()) + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", pdu)) + item(0x52, b"1.2.3.4")
    items = item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, b"\1\0\0\0" + syntax) + item(0x50, user)
    content = struct.pack(">HH", 1, 0) + called.ljust(16) + b"HOSTILE".ljust(16) + b"\0" * 32 + items
    return struct.pack(">BBI", 1, 0, len(content)) + content


def command(**changes):
    """A C-STORE request (PS3.7 table 9.3-1) as a data unit."""
    usual = {"AffectedSOPClassUID": MRImageStorage, "CommandField": 1, "MessageID": 1, "Priority": 0}
    usual |= {"CommandDataSetType": 0, "AffectedSOPInstanceUID": "1.2.3"}
    dataset = pydicom.Dataset()
    with pydicom.config.disable_value_validation():
        for keyword, value in (usual | changes).items():
            setattr(dataset, keyword, value)
        stream = pydicom.filebase.DicomBytesIO()
        stream.is_little_endian = stream.is_implicit_VR = True
        pydicom.filewriter.write_dataset(stream, dataset)
    return unit(stream.getvalue(), 3)


def unit(content, control):
    """A P-DATA-TF unit with one value (PS3.8 table 9-22)."""
    value = struct.pack(">IBB", len(content) + 2, 1, control) + content
    return struct.pack(">BBI", 4, 0, len(value)) + value
