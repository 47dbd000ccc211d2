"""The DICOM node: receives studies, decides when one is complete, and sends results back."""
