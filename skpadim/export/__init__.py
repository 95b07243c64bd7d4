"""Detectors as graphs that run without Python: ONNX and OpenVINO.

A graph is the whole way from pixels to decisions.
"""

from skpadim.export._formats import export_onnx, export_openvino

__all__ = ["export_onnx", "export_openvino"]
