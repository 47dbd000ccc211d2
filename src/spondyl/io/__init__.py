"""The rim where file formats live: studies in; DICOM objects, the report, tables and synthetic series out.

Import from its modules; they load heavy libraries, so nothing is imported here.
"""
